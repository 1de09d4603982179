//! Whole trainings by several ranks, as threads: the files of one rank, whatever their number, and
//! checkpoints that go over from one number to another.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mobilenet_train::parallel::{Wire, thread_ranks};
use mobilenet_train::run::Replicas;

use super::case::{Case, Stripes, model, on, on_ranks, problem};

#[test]
fn any_number_of_ranks_writes_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    for (shards, all) in [(4, &[1, 2, 4][..]), (6, &[1, 3, 6])] {
        let mut expected = None;
        for &ranks in all {
            let out = folder.path().join(format!("{shards} {ranks}"));
            let mut outcomes = on_ranks(ranks, |_| Case::new(&out, shards));
            let outcome = outcomes.swap_remove(0).unwrap();
            // The evaluation has counts of all parts, and the images in one order.
            let evaluation = outcome.evaluation.unwrap().evaluation;
            let worst: Vec<usize> = evaluation
                .most_wrong()
                .iter()
                .map(|one| one.image)
                .collect();
            assert_eq!(evaluation.accuracy().images(), 17);
            let found = (
                model(&out),
                *evaluation.accuracy(),
                evaluation.confusion().clone(),
                worst,
            );
            assert!(
                *expected.get_or_insert(found.clone()) == found,
                "{shards} {ranks}"
            );
        }
    }
}

#[test]
fn a_training_goes_on_with_another_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    on_ranks(1, |_| Case::new(&whole, 4)).remove(0).unwrap();
    for (ranks, steps) in [(4, 3), (2, 6), (1, 7)] {
        let outcomes = on_ranks(ranks, |_| {
            let mut case = Case::new(&broken, 4);
            // The schedule stays that of the whole training.
            case.recipe.steps = steps;
            case
        });
        assert!(outcomes.iter().all(Result::is_ok));
    }
    assert!(model(&broken) == model(&whole));
}

/// What rounding has lost is forgotten at checkpoints, also by a run that goes on.
#[test]
fn with_rounded_gradients_too_if_the_number_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let case = |out: &Path| {
        let mut case = Case::new(out, 4);
        case.recipe.wire = Wire::Bf16;
        case
    };
    on_ranks(2, |_| case(&whole)).remove(0).unwrap();
    for steps in [4, 7] {
        let outcomes = on_ranks(2, |_| {
            let mut case = case(&broken);
            case.recipe.steps = steps;
            case
        });
        assert!(outcomes.iter().all(Result::is_ok));
    }
    assert!(model(&broken) == model(&whole));
    let mut refused = case(&folder.path().join("refused"));
    refused.replicas = Some(Replicas {
        servers: 1,
        aggregate: None,
    });
    let refused = on(thread_ranks(2), |rank, _| {
        let never = AtomicBool::new(false);
        refused.run(rank, &never).0
    });
    assert!(problem(&refused[0]).contains("gradients as bf16"));
}

/// One rank is told to stop; all stop after the same step.
#[test]
fn a_signal_to_one_rank_stops_all() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    on_ranks(1, |_| Case::new(&whole, 4)).remove(0).unwrap();
    let (never, now) = (AtomicBool::new(false), AtomicBool::new(true));
    let case = || Case::new(&stopped, 4);
    let outcomes = on(thread_ranks(4), |rank, number| {
        let stop = if number == 2 { &now } else { &never };
        case().run(rank, stop).0.unwrap()
    });
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.interrupted && outcome.step == 0)
    );
    now.store(false, Ordering::SeqCst);
    on_ranks(2, |_| case()).remove(0).unwrap();
    assert!(model(&stopped) == model(&whole));
}

/// Photos that cannot be read are replaced by the same ones, and are told once, by rank 0.
#[test]
fn broken_photos_are_the_same_for_any_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let mut seen = Vec::new();
    for ranks in [1, 4] {
        let out = folder.path().join(ranks.to_string());
        let mut all = on(thread_ranks(ranks), |rank, _| {
            let mut case = Case::new(&out, 4);
            let broken = vec![3, 8, 21, 39];
            case.data.train = Arc::new(Stripes {
                broken,
                ..Stripes::new(40)
            });
            case.run(rank, &stop)
        });
        assert!(
            all.iter()
                .skip(1)
                .all(|(_, watch)| watch.messages.is_empty())
        );
        let (outcome, mut watch) = all.swap_remove(0);
        let mut skipped: Vec<usize> = outcome
            .unwrap()
            .skipped
            .into_iter()
            .map(|photo| photo.index)
            .collect();
        skipped.sort_unstable();
        watch.messages.sort();
        seen.push((model(&out), skipped, watch.messages));
    }
    assert_eq!(seen[0].1, [3, 8, 21, 39]);
    assert!(seen[0] == seen[1]);
}

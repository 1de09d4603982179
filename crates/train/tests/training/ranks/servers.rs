//! Trainings by servers, which have the weights, and workers, which may not wait for each other.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mobilenet_train::log::Record;
use mobilenet_train::moving_average::MovingAverageConfig;
use mobilenet_train::optimizer::{GradientClipping, OptimizerConfig};
use mobilenet_train::parallel::thread_ranks;
use mobilenet_train::quantization::Quantization;
use mobilenet_train::run::Replicas;

use super::case::{Case, model, on, on_ranks, problem};

/// A case of servers and workers.
fn replicas(out: &Path, servers: usize, aggregate: Option<usize>) -> Case {
    Case {
        replicas: Some(Replicas { servers, aggregate }),
        ..Case::new(out, 2)
    }
}

/// Slices on several servers, with an optimiser that has slots, an average and clipping.
#[test]
fn one_worker_is_a_training_by_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let with_slots = |mut case: Case| {
        case.recipe.optimizer = OptimizerConfig::adam_w();
        case.recipe.clipping = Some(GradientClipping::GlobalNorm { limit: 0.5 });
        case.recipe.moving_average = Some(MovingAverageConfig {
            decay: 0.9,
            ramp: true,
        });
        case
    };
    on_ranks(1, |_| with_slots(Case::new(&whole, 2)))
        .remove(0)
        .unwrap();
    for (servers, aggregate) in [(1, None), (3, None), (1, Some(1)), (2, Some(1))] {
        let out = folder.path().join(format!("{servers} {aggregate:?}"));
        // Interrupted in between.
        for steps in [3, 7] {
            let outcomes = on_ranks(servers + 1, |_| {
                let mut case = with_slots(replicas(&out, servers, aggregate));
                case.recipe.steps = steps;
                case
            });
            let failed: Vec<_> = outcomes
                .iter()
                .filter_map(|one| one.as_ref().err())
                .collect();
            assert!(failed.is_empty(), "{failed:?}");
        }
        assert!(
            model(&out) == model(&whole),
            "{servers} servers, {aggregate:?}"
        );
    }
}

#[test]
fn workers_do_not_wait_and_staleness_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    for (name, servers, aggregate) in [
        ("async", 2, None),
        ("sync", 2, Some(3)),
        ("backup", 1, Some(2)),
        ("more", 1, Some(5)),
    ] {
        let out = folder.path().join(name);
        let mut all = on(thread_ranks(servers + 3), |rank, _| {
            let mut case = replicas(&out, servers, aggregate);
            case.recipe.steps = 20;
            case.run(rank, &stop)
        });
        let (outcome, watch) = all.swap_remove(0);
        let outcome = outcome.unwrap();
        assert_eq!(outcome.step, 20, "{name}");
        assert_eq!(
            outcome.evaluation.unwrap().evaluation.accuracy().images(),
            17
        );
        let staleness: Vec<f64> = watch
            .records
            .iter()
            .filter_map(|record| match record {
                Record::Step(record) => Some(record.staleness.unwrap()),
                _ => None,
            })
            .collect();
        assert_eq!(staleness.len(), 10, "{name}");
        let mean = staleness.iter().sum::<f64>() / 10.0;
        println!("{name}: mean staleness {mean:.2}");
        match name {
            // Three workers that do not wait are never all fresh.
            "async" => assert!(mean > 0.0 && mean < 20.0, "{staleness:?}"),
            // Only what comes too late for a step that is done is stale.
            "sync" | "more" => assert!(mean < 1.0, "{staleness:?}"),
            _ => assert!(mean.is_finite()),
        }
    }
}

#[test]
fn servers_and_workers_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (servers, aggregate, ranks, expected) in [
        (2, None, 2, "2 of 2 ranks"),
        (0, None, 2, "0 of 2 ranks"),
        (1, Some(0), 2, "at least 1, was 0"),
    ] {
        let outcomes = on_ranks(ranks, |_| replicas(&out, servers, aggregate));
        assert!(
            problem(&outcomes[0]).contains(expected),
            "{}",
            problem(&outcomes[0])
        );
    }
    let outcomes = on_ranks(2, |_| {
        let mut case = replicas(&out, 1, None);
        case.recipe.quantization = Some(Quantization::default());
        case
    });
    assert!(problem(&outcomes[1]).contains("training for integers must be synchronous"));
}

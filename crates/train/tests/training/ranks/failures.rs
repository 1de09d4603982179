//! Whatever goes wrong with one rank of a training ends all, and names the rank.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mobilenet_train::TrainError;
use mobilenet_train::parallel::{Alone, thread_ranks};

use super::case::{Case, Stripes, on, on_ranks, problem};

#[test]
fn a_rank_that_differs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    type Change = fn(&mut Case);
    let changes: [(&str, Change); 5] = [
        ("version", |case| case.options.version = "2".into()),
        ("number of threads", |case| case.options.threads = 2),
        ("training photos", |case| {
            let mut other = Stripes::new(40);
            other.name = "others";
            case.data.train = Arc::new(other);
        }),
        ("test photos", |case| {
            case.data.test = Some(Arc::new(Stripes::new(16)))
        }),
        ("recipe: seed", |case| case.recipe.seed = 1),
    ];
    for (what, change) in changes {
        let outcomes = on_ranks(4, |rank| {
            let mut case = Case::new(&folder.path().join("out"), 4);
            if rank == 2 {
                change(&mut case);
            }
            case
        });
        let expected = format!("rank 2 differs from rank 0: {what}");
        assert!(
            problem(&outcomes[2]).contains(&expected),
            "{}",
            problem(&outcomes[2])
        );
        for rank in [0, 1, 3] {
            let error = outcomes[rank].as_ref().map(|_| ()).unwrap_err();
            assert!(
                matches!(error, TrainError::OtherRank { rank: 2, .. }),
                "{error}"
            );
        }
    }
    assert!(!folder.path().join("out").exists(), "nothing was begun");
}

#[test]
fn a_rank_that_fails_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // Photos that only rank 1 cannot read, more than are allowed.
    let outcomes = on_ranks(2, |rank| {
        let mut case = Case::new(&out, 4);
        let mut stripes = Stripes::new(40);
        if rank == 1 {
            stripes.broken = (0..40).collect();
        }
        case.data.train = Arc::new(stripes);
        case
    });
    assert!(problem(&outcomes[1]).contains("photos cannot be used"));
    assert!(problem(&outcomes[0]).contains("rank 1 ends the training"));
    // A rank that panics, or returns early, has ended for the others; one that hangs is silent.
    let stop = AtomicBool::new(false);
    for hangs in [false, true] {
        let patience = Duration::from_millis(300);
        let ranks = thread_ranks(4).into_iter();
        let ranks = ranks.map(|rank| rank.with_patience(patience)).collect();
        let outcomes = on(ranks, |rank, number| {
            if number == 3 && hangs {
                std::thread::sleep(5 * patience);
            }
            (number != 3).then(|| problem(&Case::new(&out, 4).run(rank, &stop).0))
        });
        let expected = if hangs {
            "rank 3 has sent nothing"
        } else {
            "rank 3 has ended"
        };
        let first = outcomes
            .iter()
            .flatten()
            .find(|text| text.contains(expected));
        assert!(first.is_some(), "{outcomes:?}");
    }
}

#[test]
fn a_number_of_ranks_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outcomes = on_ranks(3, |_| Case::new(&folder.path().join("out"), 4));
    assert!(problem(&outcomes[0]).contains("4 shards can be computed by 1, 2, 4 ranks, not by 3"));
    let case = Case::new(&folder.path().join("one"), 1);
    case.run(&mut Alone, &AtomicBool::new(false)).0.unwrap();
}

//! Golden files, a relative comparison, ranks as threads. Shared by the tests.

use std::path::{Path, PathBuf};

use mobilenet_train::parallel::{Communicator, thread_ranks};

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// A golden JSON file.
pub(crate) fn golden<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(path(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Compares values. A difference is relative to the expected value, or to 1/1000 of the largest
/// expected value if that is more.
pub(crate) fn close<T: Copy + Into<f64>>(what: &str, found: &[T], expected: &[T], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let values = || found.iter().zip(expected);
    let largest = expected.iter().map(|&e| e.into().abs()).fold(0.0, f64::max);
    for (index, (&found, &expected)) in values().enumerate() {
        let (found, expected): (f64, f64) = (found.into(), expected.into());
        let size = expected.abs().max(1e-3 * largest);
        assert!(
            (found - expected).abs() <= tolerance * size,
            "{what}, value {index}: {found}, expected {expected}"
        );
    }
}

/// What each of some ranks, which run at the same time, returns.
pub(crate) fn on_ranks<T: Send>(
    ranks: usize,
    run: impl Fn(&mut dyn Communicator) -> T + Sync,
) -> Vec<T> {
    std::thread::scope(|scope| {
        let run = &run;
        let start = |mut rank| scope.spawn(move || run(&mut rank));
        let threads: Vec<_> = thread_ranks(ranks).into_iter().map(start).collect();
        let threads = threads.into_iter();
        threads.map(|thread| thread.join().unwrap()).collect()
    })
}

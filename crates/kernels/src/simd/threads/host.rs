//! What the system does for a team: it starts threads, and tells how long one has waited.

use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How long an idle worker spins before it sleeps. Runs that follow each other find it awake.
const PATIENCE: Duration = Duration::from_micros(100);

/// A thread of a team.
pub(super) struct Worker(JoinHandle<()>);

impl Worker {
    /// Starts thread `number`.
    pub(super) fn start(
        number: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let name = format!("kernels-{number}");
        Builder::new().name(name).spawn(work).map(Self)
    }

    /// Waits for the thread's end, which it has been told of. Wakes it if it sleeps.
    pub(super) fn end(self) {
        self.0.thread().unpark();
        // There is no error to handle: a worker that panics aborts the process.
        drop(self.0.join());
    }
}

/// How long a worker has been idle.
#[derive(Default)]
pub(super) struct Idleness(Option<Instant>);

impl Idleness {
    /// Whether it has been idle for long, asked after every few attempts.
    pub(super) fn is_long(&mut self) -> bool {
        self.0.get_or_insert_with(Instant::now).elapsed() > PATIENCE
    }
}

//! Batches prepared by worker threads before they are needed. They are returned in order, and their
//! number is limited.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::skipped::guarded;
use super::{Batch, DataError, Skipped};

/// Number of ready batches, besides those that workers prepare.
const READY: u64 = 2;

/// Prepares the batch of a step, which depends on the step only. Returns the photos it left out.
/// Checks the flag between photos, and stops if it is set.
pub(super) type Fill =
    dyn Fn(u64, &mut Batch, &AtomicBool) -> Result<Vec<Skipped>, DataError> + Send + Sync;

type Made = Result<(Batch, Vec<Skipped>), DataError>;

/// Worker threads, and the batches that are ready.
pub(super) struct Ahead {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    fill: Box<Fill>,
    /// How many steps the workers may be ahead.
    depth: u64,
    stop: AtomicBool,
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    /// The next step for a worker.
    begin: u64,
    /// The next step to return.
    take: u64,
    end: u64,
    ready: BTreeMap<u64, Made>,
    /// Memory of batches that were given back.
    spare: Vec<Batch>,
}

impl Ahead {
    /// Starts `workers` threads, at least one, on a range of steps.
    pub(super) fn start(
        steps: Range<u64>,
        workers: usize,
        fill: Box<Fill>,
    ) -> Result<Self, DataError> {
        let workers = workers.max(1);
        let shared = Arc::new(Shared {
            fill,
            depth: workers as u64 + READY,
            stop: AtomicBool::new(false),
            queue: Mutex::new(Queue {
                begin: steps.start,
                take: steps.start,
                end: steps.end,
                ready: BTreeMap::new(),
                spare: Vec::new(),
            }),
            changed: Condvar::new(),
        });
        // If a thread cannot be started, dropping this value ends those that were.
        let mut ahead = Self {
            shared,
            workers: Vec::with_capacity(workers),
        };
        for number in 0..workers {
            let shared = ahead.shared.clone();
            let worker = std::thread::Builder::new()
                .name(format!("data-{number}"))
                .spawn(move || shared.work())
                .map_err(|error| DataError::Settings(format!("no thread: {error}")))?;
            ahead.workers.push(worker);
        }
        Ok(ahead)
    }

    /// The batch of the next step, or `None` after the last. Waits until the batch is ready.
    pub(super) fn next(&self) -> Option<Made> {
        let mut queue = self.shared.lock();
        if queue.take >= queue.end {
            return None;
        }
        loop {
            let step = queue.take;
            if let Some(made) = queue.ready.remove(&step) {
                queue.take += 1;
                self.shared.changed.notify_all();
                return Some(made);
            }
            queue = self.shared.wait(queue);
        }
    }

    /// Returns a batch's memory for another step.
    pub(super) fn give_back(&self, batch: Batch) {
        let mut queue = self.shared.lock();
        // Those that workers may begin, and the one that was taken.
        if queue.spare.len() as u64 <= self.shared.depth {
            queue.spare.push(batch);
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // Under the lock. Otherwise a worker that has checked the flag, but does not sleep yet,
        // would miss the notification.
        let queue = self.shared.lock();
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(queue);
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches its panics, so there is nothing to report.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        while let Some((step, mut batch)) = self.begin() {
            let made = guarded(
                || format!("batch {step}"),
                || (self.fill)(step, &mut batch, &self.stop),
            );
            let made = made.map(|skipped| (batch, skipped));
            self.lock().ready.insert(step, made);
            self.changed.notify_all();
        }
    }

    /// Waits for a step to begin. `None` at the end.
    fn begin(&self) -> Option<(u64, Batch)> {
        let mut queue = self.lock();
        loop {
            if self.stop.load(Ordering::Relaxed) || queue.begin >= queue.end {
                return None;
            }
            if queue.begin < queue.take.saturating_add(self.depth) {
                let step = queue.begin;
                queue.begin += 1;
                return Some((step, queue.spare.pop().unwrap_or_default()));
            }
            queue = self.wait(queue);
        }
    }

    /// Locks the queue. No code that can panic runs under the lock, so a poisoned one is
    /// consistent.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

//! A team of threads that run jobs together. Jobs follow each other within about a millisecond, so
//! a waiting thread spins, and sleeps only if no job comes for a while. Waking a sleeping thread
//! costs about 50 microseconds, a spinning one less than 1.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// Iterations of an idle wait before a worker sleeps: about a millisecond.
const PATIENCE: usize = 20_000;

/// Iterations of a wait for other threads before a thread yields its core: the thread that it waits
/// for may need it.
const BARRIER_PATIENCE: usize = 10_000;

/// A job, which every thread calls with its number.
type Job = *const (dyn Fn(usize) + Sync);

struct Shared {
    /// Incremented for each job.
    epoch: AtomicUsize,
    job: UnsafeCell<Option<Job>>,
    /// Workers that have not finished the job.
    busy: AtomicUsize,
    asleep: Vec<AtomicBool>,
    closing: AtomicBool,
}

// SAFETY: only the owner writes `job`, and only while no worker is busy. A worker reads it after it
// has seen the epoch change. The owner increments the epoch after the write, and the increment and
// the worker's load are a release and an acquire.
unsafe impl Sync for Shared {}
// SAFETY: `job` points to a `Sync` closure that outlives every use of it (see `run`).
unsafe impl Send for Shared {}

/// Threads that run jobs together; the caller's thread is number 0.
pub(crate) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// Aborts the process if a job panics: the other threads would wait at the next barrier for ever.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

impl Team {
    /// Starts `threads - 1` workers.
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            busy: AtomicUsize::new(0),
            asleep: (1..threads).map(|_| AtomicBool::new(false)).collect(),
            closing: AtomicBool::new(false),
        });
        let mut team = Self {
            shared,
            workers: Vec::new(),
        };
        for number in 1..threads {
            let shared = team.shared.clone();
            let worker = thread::Builder::new()
                .name(format!("kernels-{number}"))
                .spawn(move || work(&shared, number))?;
            team.workers.push(worker);
        }
        Ok(team)
    }

    /// Number of threads, the caller's included.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `job` on all threads and returns when all are done.
    pub(crate) fn run(&mut self, job: &(dyn Fn(usize) + Sync)) {
        let _guard = AbortOnPanic;
        if self.workers.is_empty() {
            return job(0);
        }
        let shared = &*self.shared;
        shared.busy.store(self.workers.len(), Ordering::Relaxed);
        // SAFETY: no worker is busy (`run` waits for all of them, and `&mut self` admits one
        // caller), so nobody reads `job` now. The lifetime is erased, but no worker uses `job`
        // after `busy` has reached 0, and this call returns only after that.
        unsafe {
            let job: Job = std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(job);
            *shared.job.get() = Some(job);
        }
        shared.epoch.fetch_add(1, Ordering::SeqCst);
        for (asleep, worker) in shared.asleep.iter().zip(&self.workers) {
            if asleep.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        job(0);
        let mut turns = 0usize;
        while shared.busy.load(Ordering::Acquire) > 0 {
            pause(&mut turns, BARRIER_PATIENCE);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // There is no error to handle: a worker that panics aborts the process.
            drop(worker.join());
        }
    }
}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Team({} threads)", self.threads())
    }
}

fn work(shared: &Shared, number: usize) {
    let mut seen = 0;
    loop {
        seen = wait_for_job(shared, number, seen);
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let _guard = AbortOnPanic;
        // SAFETY: `job` was written before the epoch was incremented. `run` neither changes it nor
        // returns before this worker has decremented `busy`.
        unsafe {
            if let Some(job) = *shared.job.get() {
                (*job)(number);
            }
        }
        shared.busy.fetch_sub(1, Ordering::Release);
    }
}

/// Spins, then sleeps, until the epoch differs from `seen`.
fn wait_for_job(shared: &Shared, number: usize, seen: usize) -> usize {
    for _ in 0..PATIENCE {
        let epoch = shared.epoch.load(Ordering::Acquire);
        if epoch != seen {
            return epoch;
        }
        spin_loop();
    }
    let asleep = &shared.asleep[number - 1];
    asleep.store(true, Ordering::SeqCst);
    loop {
        // Loaded after `asleep` is set: either this sees the new epoch, or the owner sees `asleep`
        // and unparks this thread.
        let epoch = shared.epoch.load(Ordering::SeqCst);
        if epoch != seen {
            asleep.store(false, Ordering::SeqCst);
            return epoch;
        }
        thread::park();
    }
}

fn pause(turns: &mut usize, patience: usize) {
    *turns += 1;
    if *turns > patience {
        thread::yield_now();
    } else {
        spin_loop();
    }
}

/// A barrier for the threads of a job. It can be used any number of times.
#[derive(Debug)]
pub(crate) struct Barrier {
    threads: usize,
    arrived: AtomicUsize,
    generation: AtomicUsize,
}

impl Barrier {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads,
            arrived: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
        }
    }

    /// Returns when all threads have called it. Each thread then sees what the others wrote before.
    pub(crate) fn wait(&self) {
        if self.threads == 1 {
            return;
        }
        let generation = self.generation.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            self.generation
                .store(generation.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut turns = 0;
        while self.generation.load(Ordering::Acquire) == generation {
            pause(&mut turns, BARRIER_PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_runs_every_job_and_barriers_hold() {
        for threads in [1, 2, 3] {
            let mut team = Team::new(threads).unwrap();
            let barrier = Barrier::new(threads);
            let (before, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
            for round in 0..2_000 {
                if round == 1_000 {
                    // Long enough for the workers to fall asleep.
                    thread::sleep(std::time::Duration::from_millis(20));
                }
                before.store(0, Ordering::SeqCst);
                team.run(&|_| {
                    before.fetch_add(1, Ordering::SeqCst);
                    barrier.wait();
                    if before.load(Ordering::SeqCst) != threads {
                        wrong.fetch_add(1, Ordering::SeqCst);
                    }
                    barrier.wait();
                });
            }
            assert_eq!(wrong.load(Ordering::SeqCst), 0);
        }
    }
}

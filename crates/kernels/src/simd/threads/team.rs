//! A few threads that run one job together, again and again, at intervals of a millisecond: they
//! wait by spinning, and sleep only when nothing comes for a while. Waking a sleeping thread costs
//! some 50 microseconds, a spinning one less than one.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// Turns of an idle wait before a worker sleeps, about a millisecond.
const PATIENCE: usize = 20_000;

/// Turns of a barrier before a thread offers its core to others: the partner may have lost its own.
const BARRIER_PATIENCE: usize = 10_000;

/// A job: called by every thread with its number.
type Job = *const (dyn Fn(usize) + Sync);

struct Shared {
    /// Raised by one for each job.
    epoch: AtomicUsize,
    job: UnsafeCell<Option<Job>>,
    /// Workers that have not finished the job.
    busy: AtomicUsize,
    asleep: Vec<AtomicBool>,
    closing: AtomicBool,
}

// SAFETY: `job` is written only by the owner while no worker is busy, and read by workers after
// they have seen the epoch that was raised, with release and acquire, after the write.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is to a `Sync` closure that outlives every use of it (see `run`).
unsafe impl Send for Shared {}

/// Threads that run jobs together; the caller's thread is number 0.
pub(crate) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// Ends the process if a job panics: the other threads would wait for ever at the next barrier.
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
        // SAFETY: no worker is busy (`run` waits for all, and `&mut self` admits one caller), so
        // nobody reads `job`. The lifetime is erased, but `job` outlives this call, and no worker
        // touches it after `busy` has come to 0, for which this call waits.
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
            // A worker that panicked has aborted the process.
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
        // SAFETY: the epoch was raised after `job` was written, and `run` neither changes it nor
        // returns before this worker has lowered `busy`.
        unsafe {
            if let Some(job) = *shared.job.get() {
                (*job)(number);
            }
        }
        shared.busy.fetch_sub(1, Ordering::Release);
    }
}

/// Spins, then sleeps, until the epoch is another than `seen`.
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
        // Looked at after `asleep` is set: either this sees the new epoch, or the owner sees
        // `asleep` and unparks.
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

/// Where the threads of a job wait for each other, any number of times.
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

    /// Returns when all threads have called it; what they wrote before is then seen by all.
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

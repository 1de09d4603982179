//! A team of threads that run jobs together. A job is a list of phases, and a phase is a number of
//! chunks, which threads claim one by one. The thread that finishes the last chunk of a phase opens
//! the next one. So nobody waits for a thread that has no core: at most for the chunk that it holds.
//!
//! Who computes a chunk changes with each run, what a chunk is does not. Each thread first claims
//! its own chunks, which are the same ones in each run, because their data may be in its cache.
//!
//! A waiting thread spins for a moment, and sleeps if no work comes. Waking a sleeping thread takes
//! about 50 microseconds, in which the others begin without it. Some systems wake a worker on the
//! caller's core, although another one is idle (Linux, where cores share no cache, as in many
//! virtual machines). Both would then take turns of milliseconds, so the worker leaves that core.

use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use super::cores::{Cores, core};
use super::host::{Idleness, Worker};
use crate::partition::part;

/// Most threads of a team, and most chunks of a phase.
pub(crate) const MOST: usize = u64::BITS as usize;

/// How long a worker sleeps that cannot leave the caller's core.
const NAP: Duration = Duration::from_millis(1);

/// Iterations of a wait for other threads before a thread yields its core: the thread that it waits
/// for may need it.
const BARRIER_PATIENCE: usize = 2_000;

/// A chunk of a phase, and who computes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Number of the thread. No other thread has it at the same time.
    pub(crate) worker: usize,
    /// Index of the phase.
    pub(crate) phase: usize,
    /// Index of the chunk.
    pub(crate) chunk: usize,
    /// Number of chunks of the phase.
    pub(crate) chunks: usize,
}

impl Turn {
    /// All of something, computed by one thread.
    pub(crate) const ALONE: Self = Self {
        worker: 0,
        phase: 0,
        chunk: 0,
        chunks: 1,
    };

    /// The chunk's share of `count` items.
    #[inline(always)]
    pub(crate) fn share(self, count: usize) -> Range<usize> {
        part(count, self.chunk, self.chunks)
    }
}

/// What every chunk of a job calls.
type Job = dyn Fn(Turn) + Sync;

/// A job and the number of chunks of each of its phases.
#[derive(Clone, Copy)]
struct Task {
    job: *const Job,
    phases: *const [usize],
}

/// A worker's bed.
#[derive(Default)]
struct Bed {
    asleep: AtomicBool,
    sleeper: OnceLock<Thread>,
}

/// The state of a job. All of it is on one cache line, which goes from thread to thread.
#[repr(align(64))]
#[derive(Default)]
struct State {
    /// One bit for each chunk of the phase that nobody has claimed yet.
    free: AtomicU64,
    /// Chunks of the phase that are not finished.
    left: AtomicUsize,
    phase: AtomicUsize,
    /// Number of chunks of the phase.
    chunks: AtomicUsize,
    /// The core of the caller when the job began.
    core: AtomicUsize,
    /// Whether all chunks must run at the same time, because they wait for each other.
    at_once: AtomicBool,
    finished: AtomicBool,
    closing: AtomicBool,
}

struct Shared {
    state: State,
    task: UnsafeCell<Option<Task>>,
    beds: Vec<Bed>,
}

// SAFETY: only the owner writes `task`, before it opens the first phase and after the last one was
// finished. A thread reads it only while it holds a chunk, which it claimed after the phase was
// opened, and until then the job does not finish. Both are releases and acquires of `free` and
// `finished`.
unsafe impl Sync for Shared {}
// SAFETY: `task` points to a `Sync` closure and to numbers, which outlive every use of them (see
// `run_phases`).
unsafe impl Send for Shared {}

/// Threads that run jobs together; the caller's thread is number 0.
pub(crate) struct Team {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
}

/// Aborts the process if a job panics: the other threads would wait for its chunk for ever.
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
        if threads > MOST {
            let problem = format!("{threads} threads; a team has at most {MOST}");
            return Err(std::io::Error::other(problem));
        }
        let shared = Arc::new(Shared {
            state: State::default(),
            task: UnsafeCell::new(None),
            beds: (1..threads).map(|_| Bed::default()).collect(),
        });
        let mut team = Self {
            shared,
            workers: Vec::new(),
        };
        for worker in 1..threads {
            let shared = team.shared.clone();
            let worker = Worker::start(worker, move || shared.work(worker))?;
            team.workers.push(worker);
        }
        Ok(team)
    }

    /// Number of threads, the caller's included.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `job` once for each thread, with its number. The calls run at the same time, so that
    /// they may wait for each other at barriers. Returns when all are done.
    pub(crate) fn run(&mut self, job: &(dyn Fn(usize) + Sync)) {
        let threads = self.threads();
        self.shared.state.at_once.store(true, Ordering::Relaxed);
        self.run_phases(&[threads], &|turn| job(turn.chunk));
        self.shared.state.at_once.store(false, Ordering::Relaxed);
    }

    /// Calls `job` for every chunk of every phase, which has 1 to [`MOST`] chunks. A phase begins
    /// when all chunks of the one before are done. Returns when all are done.
    pub(crate) fn run_phases(&mut self, phases: &[usize], job: &(dyn Fn(Turn) + Sync)) {
        let _guard = AbortOnPanic;
        assert!(phases.iter().all(|chunks| (1..=MOST).contains(chunks)));
        if self.workers.is_empty() {
            for (phase, &chunks) in phases.iter().enumerate() {
                for chunk in 0..chunks {
                    job(Turn {
                        worker: 0,
                        phase,
                        chunk,
                        chunks,
                    });
                }
            }
            return;
        }
        if phases.is_empty() {
            return;
        }
        let shared = &*self.shared;
        // SAFETY: no thread holds a chunk (the last call waited for all, and `&mut self` admits one
        // caller), so nobody reads `task` now. The lifetimes are erased, but a thread uses `task`
        // only while it holds a chunk, and this call returns only after the last one is finished.
        unsafe {
            let job = std::mem::transmute::<&(dyn Fn(Turn) + Sync), *const Job>(job);
            *shared.task.get() = Some(Task { job, phases });
        }
        shared
            .state
            .core
            .store(core().unwrap_or(0), Ordering::Relaxed);
        shared.state.finished.store(false, Ordering::Relaxed);
        shared.open(0, phases[0]);
        let mut turns = 0usize;
        while !shared.state.finished.load(Ordering::Acquire) {
            match shared.claim(0) {
                Some(chunk) => {
                    shared.compute(0, chunk);
                    turns = 0;
                }
                None => pause(&mut turns, BARRIER_PATIENCE),
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.state.closing.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.end();
        }
    }
}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Team({} threads)", self.threads())
    }
}

impl Shared {
    /// Opens a phase, and wakes who sleeps.
    fn open(&self, phase: usize, chunks: usize) {
        let state = &self.state;
        state.left.store(chunks, Ordering::Relaxed);
        state.phase.store(phase, Ordering::Relaxed);
        state.chunks.store(chunks, Ordering::Relaxed);
        // Sequentially consistent, as `Bed::asleep`: either a worker that lies down sees the free
        // chunks, or it is seen here.
        state
            .free
            .store(u64::MAX >> (MOST - chunks), Ordering::SeqCst);
        for bed in self.beds.iter().take(chunks - 1) {
            if bed.asleep.load(Ordering::SeqCst)
                && let Some(sleeper) = bed.sleeper.get()
            {
                sleeper.unpark();
            }
        }
    }

    /// Claims a free chunk: one of the thread's own, or the last one of all.
    fn claim(&self, worker: usize) -> Option<usize> {
        let state = &self.state;
        let mut free = state.free.load(Ordering::Relaxed);
        while free != 0 {
            // May be of a phase that is over. Then a chunk of another thread is claimed, no more.
            let chunks = state.chunks.load(Ordering::Relaxed);
            let own = part(chunks, worker, self.beds.len() + 1);
            let own = free & bits(own.end) & !bits(own.start);
            let chunk = match own {
                0 => MOST - 1 - free.leading_zeros() as usize,
                own => own.trailing_zeros() as usize,
            };
            let rest = free & !(1 << chunk);
            let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
            match state
                .free
                .compare_exchange_weak(free, rest, success, failure)
            {
                Ok(_) => return Some(chunk),
                Err(found) => free = found,
            }
        }
        None
    }

    /// Computes a claimed chunk, and opens the next phase if it was the last one.
    fn compute(&self, worker: usize, chunk: usize) {
        let state = &self.state;
        // While this thread holds a chunk, the phase does not change.
        let phase = state.phase.load(Ordering::Relaxed);
        let turn = Turn {
            worker,
            phase,
            chunk,
            chunks: state.chunks.load(Ordering::Relaxed),
        };
        // SAFETY: this thread holds a chunk, so `task` was written before, and neither changes nor
        // ends before the chunk is finished.
        let Some(task) = (unsafe { *self.task.get() }) else {
            return;
        };
        // SAFETY: as above.
        let (job, phases) = unsafe { (&*task.job, &*task.phases) };
        job(turn);
        // Read before the chunk is finished, because then the task may end.
        let next = phases.get(phase + 1).copied();
        if state.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            match next {
                Some(chunks) => self.open(phase + 1, chunks),
                None => state.finished.store(true, Ordering::Release),
            }
        }
    }

    /// The life of a worker.
    fn work(&self, worker: usize) {
        let _guard = AbortOnPanic;
        let bed = &self.beds[worker - 1];
        bed.sleeper.get_or_init(thread::current);
        let closing = || self.state.closing.load(Ordering::SeqCst);
        let cores = Cores::of_this_thread();
        while !closing() {
            let state = &self.state;
            let is_stuck = self.is_in_the_way() && !cores.leave();
            let has_work = state.free.load(Ordering::Relaxed) != 0;
            if is_stuck && has_work && !state.at_once.load(Ordering::Relaxed) {
                // There is one core. The caller does all the work.
                thread::park_timeout(NAP);
                continue;
            }
            if let Some(chunk) = self.claim_patiently(worker) {
                self.compute(worker, chunk);
                continue;
            }
            bed.asleep.store(true, Ordering::SeqCst);
            while self.state.free.load(Ordering::SeqCst) == 0 && !closing() {
                thread::park();
            }
            bed.asleep.store(false, Ordering::SeqCst);
        }
    }

    /// Whether this worker has the core on which the job began.
    fn is_in_the_way(&self) -> bool {
        core() == Some(self.state.core.load(Ordering::Relaxed))
    }

    /// Claims a chunk, or gives up after a while.
    fn claim_patiently(&self, worker: usize) -> Option<usize> {
        let mut idleness = Idleness::default();
        loop {
            // The clock takes longer than a turn.
            for _ in 0..64 {
                let claimed = self.claim(worker);
                if claimed.is_some() {
                    return claimed;
                }
                spin_loop();
            }
            if idleness.is_long() {
                return None;
            }
        }
    }
}

/// The lowest bits.
fn bits(count: usize) -> u64 {
    if count >= MOST {
        u64::MAX
    } else {
        (1 << count) - 1
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
                    thread::sleep(Duration::from_millis(20));
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

    #[test]
    fn every_chunk_is_computed_once_and_phases_follow_each_other() {
        let phases = [1, 5, 2, MOST, 3];
        let all: usize = phases.iter().sum();
        for threads in [1, 2, 3, 8] {
            let mut team = Team::new(threads).unwrap();
            let counts: Vec<_> = (0..all).map(|_| AtomicUsize::new(0)).collect();
            let wrong = AtomicUsize::new(0);
            let busy: Vec<_> = (0..threads).map(|_| AtomicBool::new(false)).collect();
            for round in 1..=2_000 {
                team.run_phases(&phases, &|turn| {
                    let before: usize = phases[..turn.phase].iter().sum();
                    let done = |count: &AtomicUsize| count.load(Ordering::Relaxed) == round;
                    let in_order = counts[..before].iter().all(done)
                        && turn.chunks == phases[turn.phase]
                        && !busy[turn.worker].swap(true, Ordering::SeqCst);
                    wrong.fetch_add(usize::from(!in_order), Ordering::SeqCst);
                    counts[before + turn.chunk].fetch_add(1, Ordering::Relaxed);
                    busy[turn.worker].store(false, Ordering::SeqCst);
                });
                let all_done = counts
                    .iter()
                    .all(|count| count.load(Ordering::Relaxed) == round);
                assert!(all_done, "{threads} threads, round {round}");
            }
            assert_eq!(wrong.load(Ordering::SeqCst), 0, "{threads} threads");
        }
    }

    #[test]
    fn a_team_that_is_too_large_is_an_error() {
        let error = Team::new(MOST + 1).unwrap_err();
        assert_eq!(error.to_string(), "65 threads; a team has at most 64");
    }
}

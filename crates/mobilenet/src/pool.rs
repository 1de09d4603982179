//! A pool of plans that share one set of weights.
//!
//! A single caller borrows a plan that runs on all threads, which has the lowest latency.
//! Concurrent callers borrow plans of one thread each, which have the highest throughput, and wait
//! while no thread is free. All plans give the same bits.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use mobilenet_model::{ModelError, NetworkPlan, NetworkWeights, PlanOutput};

/// What plans are made of.
pub(crate) trait Planner {
    /// What a plan computes.
    type Output: Copy + Eq + Hash;
    type Plan;
    type Error;

    /// Makes a plan.
    fn plan(&self, output: Self::Output, threads: usize) -> Result<Self::Plan, Self::Error>;
}

/// Plans for images of one size.
#[derive(Debug)]
pub(crate) struct Pool<P: Planner = Networks> {
    planner: P,
    threads: usize,
    /// Threads of a call that is alone.
    of_a_call: usize,
    state: Mutex<State<P>>,
    /// Notified when a plan is returned.
    returned: Condvar,
}

/// Plans that nobody has borrowed, by their output and number of threads.
type Idle<P> = HashMap<(<P as Planner>::Output, usize), Vec<<P as Planner>::Plan>>;

struct State<P: Planner> {
    idle: Idle<P>,
    /// Number of threads of all borrowed plans.
    busy: usize,
    /// Number of callers that wait for a plan.
    waiting: usize,
}

impl<P: Planner> std::fmt::Debug for State<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("busy", &self.busy)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

/// How a caller shares the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A call of its own. If no other call runs, it uses all threads that it has work for.
    Any,
    /// One of several parallel calls of the same batch. It uses one thread.
    OneOfMany,
}

impl<P: Planner> Pool<P> {
    pub(crate) fn of(planner: P, threads: usize) -> Self {
        Self {
            planner,
            threads: threads.max(1),
            of_a_call: threads.max(1),
            state: Mutex::new(State {
                idle: HashMap::new(),
                busy: 0,
                waiting: 0,
            }),
            returned: Condvar::new(),
        }
    }

    /// Leaves a call that is alone at most so many of the threads.
    pub(crate) fn with_calls_of(mut self, threads: usize) -> Self {
        self.of_a_call = threads.clamp(1, self.threads);
        self
    }

    /// Most threads in use at a time.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Makes a plan with this output, so that errors are found before the first photo.
    pub(crate) fn prepare(&self, wanted: P::Output) -> Result<(), P::Error> {
        self.with(wanted, Caller::Any, |_| Ok(()))
    }

    /// Lends a plan to `work`.
    pub(crate) fn with<T>(
        &self,
        wanted: P::Output,
        caller: Caller,
        work: impl FnOnce(&mut P::Plan) -> Result<T, P::Error>,
    ) -> Result<T, P::Error> {
        // Dropping the loan frees the threads, even if no plan can be made.
        let mut loan = self.borrow(wanted, caller);
        let plan = match loan.plan.take() {
            Some(plan) => plan,
            None => self.planner.plan(wanted, loan.threads)?,
        };
        work(loan.plan.insert(plan))
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        // A panic leaves the state consistent, so a poisoned lock is safe to use.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn borrow(&self, wanted: P::Output, caller: Caller) -> Loan<'_, P> {
        let mut state = self.lock();
        state.waiting += 1;
        let threads = loop {
            let alone = state.busy == 0 && state.waiting == 1;
            if alone && caller == Caller::Any {
                break self.of_a_call;
            }
            if state.busy < self.threads {
                break 1;
            }
            state = self
                .returned
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        state.waiting -= 1;
        state.busy += threads;
        let plan = state.idle.get_mut(&(wanted, threads)).and_then(Vec::pop);
        drop(state);
        Loan {
            pool: self,
            wanted,
            threads,
            plan,
        }
    }
}

/// Borrowed threads and, once it is made, a plan; returned on drop.
struct Loan<'a, P: Planner> {
    pool: &'a Pool<P>,
    wanted: P::Output,
    threads: usize,
    plan: Option<P::Plan>,
}

impl<P: Planner> Drop for Loan<'_, P> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.busy -= self.threads;
        if let Some(plan) = self.plan.take() {
            let key = (self.wanted, self.threads);
            state.idle.entry(key).or_default().push(plan);
        }
        drop(state);
        self.pool.returned.notify_all();
    }
}

/// Plans of a classifier.
#[derive(Debug)]
pub(crate) struct Networks {
    weights: NetworkWeights,
    size: [usize; 2],
}

/// What a classifier's plan computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Output {
    /// Class scores.
    Logits,
    /// Pooled features.
    Features,
}

impl Planner for Networks {
    type Output = Output;
    type Plan = NetworkPlan;
    type Error = ModelError;

    fn plan(&self, wanted: Output, threads: usize) -> Result<NetworkPlan, ModelError> {
        let output = match wanted {
            Output::Logits => PlanOutput::Logits,
            Output::Features => PlanOutput::Features,
        };
        self.weights.plan(self.size, threads, output)
    }
}

impl Pool {
    pub(crate) fn new(weights: NetworkWeights, size: [usize; 2], threads: usize) -> Self {
        Self::of(Networks { weights, size }, threads)
    }

    /// Runs one image.
    pub(crate) fn run(
        &self,
        pixels: &[f32],
        wanted: Output,
        caller: Caller,
    ) -> Result<Vec<f32>, ModelError> {
        self.with(wanted, caller, |plan| {
            let mut output = vec![0.0; plan.output_len()];
            plan.run(pixels, &mut output)?;
            Ok(output)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenet_model::initialize::random_parameters;
    use mobilenet_model::{MobileNetV1Config, PlanWeights};

    fn pool(threads: usize) -> Pool {
        let config = MobileNetV1Config::with_width(0.25);
        let parameters = random_parameters(&config, 0).unwrap();
        let weights = PlanWeights::new(&config, &parameters).unwrap();
        Pool::new(NetworkWeights::F32(weights), [32, 32], threads)
    }

    fn idle(pool: &Pool, threads: usize) -> usize {
        let state = pool.lock();
        let plans = state.idle.get(&(Output::Logits, threads));
        plans.map_or(0, Vec::len)
    }

    #[test]
    fn a_caller_alone_has_all_threads() {
        let pool = pool(2);
        let pixels = vec![0.5; 32 * 32 * 3];
        for _ in 0..3 {
            pool.run(&pixels, Output::Logits, Caller::Any).unwrap();
        }
        assert_eq!((idle(&pool, 2), idle(&pool, 1)), (1, 0));
    }

    #[test]
    fn a_call_leaves_threads_that_it_has_no_work_for() {
        let pool = pool(3).with_calls_of(0);
        let pixels = vec![0.5; 32 * 32 * 3];
        pool.run(&pixels, Output::Logits, Caller::Any).unwrap();
        assert_eq!((idle(&pool, 3), idle(&pool, 1)), (0, 1));
    }

    #[test]
    fn never_more_threads_than_allowed_and_the_same_bits() {
        let pool = pool(2);
        let pixels: Vec<f32> = (0..32 * 32 * 3).map(|i| (i % 7) as f32 / 7.0).collect();
        let expected = pool.run(&pixels, Output::Logits, Caller::Any).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let found = pool.run(&pixels, Output::Logits, Caller::Any).unwrap();
                        assert_eq!(found, expected);
                        assert!(pool.lock().busy <= 2);
                    }
                });
            }
        });
        assert!(idle(&pool, 1) <= 2 && idle(&pool, 2) <= 1);
        let state = pool.lock();
        assert_eq!((state.busy, state.waiting), (0, 0));
    }

    #[test]
    fn a_plan_that_cannot_be_made_takes_no_threads_with_it() {
        let config = MobileNetV1Config::with_width(0.25);
        let parameters = random_parameters(&config, 0).unwrap();
        let weights = PlanWeights::new(&config, &parameters).unwrap();
        // At 640 pixels the pooled map is larger than one pixel, which a plan refuses.
        let pool = Pool::new(NetworkWeights::F32(weights), [640, 640], 1);
        for _ in 0..2 {
            assert!(pool.prepare(Output::Logits).is_err());
        }
        assert_eq!(pool.lock().busy, 0);
    }
}

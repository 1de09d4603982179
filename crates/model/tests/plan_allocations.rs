//! A warm run of a plan allocates nothing. The allocator counts the allocations of all threads.
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use mobilenet_model::initialize::random_parameters;
use mobilenet_model::quantized::{
    Arithmetic, IntegerImages, IntegerOutput, IntegerPlan, IntegerPlanOptions, QuantizedWeights,
    RandomWeights, random_integers,
};
use mobilenet_model::{InferencePlan, MobileNetV1Config, PlanOptions, PlanWeights};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The fewest allocations of several rounds. On a busy machine a thread may begin, which allocates,
/// only after the first runs; a run that allocated would do so in every round.
fn allocations(mut round: impl FnMut()) -> usize {
    let count = |_| {
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        round();
        ALLOCATIONS.load(Ordering::SeqCst) - before
    };
    (0..5).map(count).min().unwrap()
}

#[test]
fn a_warm_run_allocates_nothing() {
    let config = MobileNetV1Config::mobilenet_v1_025();
    let weights = PlanWeights::new(&config, &random_parameters(&config, 0).unwrap()).unwrap();
    for threads in [1, 2] {
        let options = PlanOptions::new([96, 96], threads);
        let mut plan = InferencePlan::new(&weights, &options).unwrap();
        let images = vec![0.5; 3 * plan.input_len()];
        let mut logits = vec![0.0; 3 * plan.output_len()];
        plan.run(&images, &mut logits).unwrap();
        let runs = || (0..5).for_each(|_| plan.run(&images, &mut logits).unwrap());
        assert_eq!(allocations(runs), 0, "{threads} threads");

        let options = PlanOptions {
            endpoints: vec!["Conv2d_5_pointwise".parse().unwrap()],
            ..options
        };
        let mut plan = InferencePlan::new(&weights, &options).unwrap();
        let [_, [height, width, channels]] = *plan.output_shapes() else {
            panic!("logits and a map")
        };
        let mut map = vec![0.0; 3 * height * width * channels];
        plan.run_all(&images, &mut [&mut logits, &mut map]).unwrap();
        let run = || {
            plan.run_all(&images, &mut [&mut logits, &mut map]).unwrap();
        };
        assert_eq!(allocations(run), 0, "{threads} threads");
    }
    let network = random_integers(&config, [96, 96], RandomWeights::Uniform, 0).unwrap();
    let weights = QuantizedWeights::new(network, Arithmetic::Xnnpack).unwrap();
    for threads in [1, 2] {
        let options = IntegerPlanOptions::new(&weights, threads);
        let mut plan = IntegerPlan::new(&weights, &options).unwrap();
        let images = vec![5i8; 3 * plan.input_len()];
        let images = IntegerImages::I8(&images);
        let mut logits = vec![0i8; 3 * plan.output_len()];
        plan.run(&images, IntegerOutput::I8(&mut logits)).unwrap();
        let mut run = || plan.run(&images, IntegerOutput::I8(&mut logits)).unwrap();
        let runs = || (0..5).for_each(|_| run());
        assert_eq!(allocations(runs), 0, "{threads} threads");
        // Random weights, but not all the same answer.
        assert!(logits.iter().any(|&logit| logit != logits[0]));
    }
    // Checks that the counter works.
    assert!(allocations(|| drop(std::hint::black_box(vec![1u8; 100]))) > 0);
}

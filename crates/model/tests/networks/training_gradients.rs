//! Compares gradients of the whole network, computed in three ways: the kernels under candle's
//! autograd, candle's own ops in f64, and the training program.

use crate::support::training::{assert_same, by_autograd, by_plan, config};
use candle_core::DType;
use mobilenet_model::PaddingRule;

const LABELS: [u32; 4] = [4, 9, 7, 0];
const TOLERANCE: f32 = 1e-3;

#[test]
fn kernels_and_fallback_agree() {
    let slim = config();
    let mut explicit = config();
    explicit.base.padding = PaddingRule::Explicit;
    let mut dilated = config();
    dilated.base.output_stride = Some(8);
    let mut multiplied = config();
    multiplied.base.channel_multiplier = 2;
    let mut windowed = config();
    windowed.global_pool = false;
    for (what, config) in [
        ("slim", slim),
        ("explicit padding", explicit),
        ("output stride 8", dilated),
        ("two filters a channel", multiplied),
        ("pool by window", windowed),
    ] {
        let found = by_autograd(&config, &LABELS, 0.1, DType::F32);
        let expected = by_autograd(&config, &LABELS, 0.1, DType::F64);
        assert_same(what, &found, &expected, TOLERANCE);
    }
}

#[test]
fn autograd_and_program_agree() {
    let slim = config();
    let mut explicit = config();
    explicit.base.padding = PaddingRule::Explicit;
    // The loss is of pooled features then, which are more than the labels' classes.
    let mut headless = config();
    headless.num_classes = None;
    let mut windowed = headless.clone();
    windowed.global_pool = false;
    for (what, config) in [
        ("slim", slim),
        ("explicit padding", explicit),
        ("no classifier", headless),
        ("no classifier, pool by window", windowed),
    ] {
        let expected = by_autograd(&config, &LABELS, 0.1, DType::F32);
        for threads in [1, 2] {
            let found = by_plan(&config, &LABELS, 0.1, threads);
            assert_same(what, &found, &expected, TOLERANCE);
        }
    }
}

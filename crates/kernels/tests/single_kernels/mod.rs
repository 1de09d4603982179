//! Shared by the tests of single kernels: random cases and a comparison.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test binaries, each of which uses its own part"
)]

use mobilenet_kernels::{ConvGeometry, ConvSize, Padding};
use proptest::prelude::*;

/// Relative to the largest value. f32 sums of up to 1,000 terms stay well below this.
const TOLERANCE: f64 = 1e-5;

pub fn assert_close(found: &[f32], expected: &[f64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1.0f64, |max, x| max.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / scale;
        prop_assert!(
            error <= TOLERANCE,
            "value {}: {} instead of {} (relative error {:e})",
            i,
            found,
            expected,
            error
        );
    }
    Ok(())
}

/// The number of random cases of a property. `PROPTEST_CASES` overrides it for slow machines.
pub fn cases(usual: u32) -> u32 {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    wanted.and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

/// Reproducible values in [-1, 1).
pub fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

pub fn channel_counts() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33])
}

fn paddings() -> impl Strategy<Value = Padding> {
    prop_oneof![
        Just(Padding::Same),
        Just(Padding::VALID),
        Just(Padding::symmetric(1)),
        Just(Padding::symmetric(4)),
        Just(Padding::Explicit {
            top: 0,
            bottom: 1,
            left: 0,
            right: 1
        }),
        Just(Padding::Explicit {
            top: 2,
            bottom: 0,
            left: 1,
            right: 3
        }),
    ]
}

/// A window and an input size that it fits.
pub fn sizes() -> impl Strategy<Value = ConvSize> {
    let kernels = prop::sample::select(vec![[3, 3], [1, 1], [2, 3], [5, 5]]);
    let dilations = prop::sample::select(vec![1, 2, 4]);
    (
        kernels,
        1usize..=2,
        dilations,
        paddings(),
        1usize..=2,
        1usize..=13,
        1usize..=13,
    )
        .prop_filter_map(
            "the kernel does not fit",
            |(kernel, stride, dilation, padding, b, h, w)| {
                let geometry = ConvGeometry {
                    kernel,
                    stride,
                    dilation,
                    padding,
                };
                geometry.resolve(b, h, w).ok()
            },
        )
}

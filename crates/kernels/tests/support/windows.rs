//! Random windows and counts of channels.

use mobilenet_kernels::{ConvGeometry, ConvSize, Padding};
use proptest::prelude::*;

pub(crate) fn channel_counts() -> impl Strategy<Value = usize> {
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
pub(crate) fn sizes() -> impl Strategy<Value = ConvSize> {
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

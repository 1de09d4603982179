//! Compares the gradients of the reference with finite differences, all in f64.

use mobilenet_kernels::{Activation, ConvGeometry, ConvSize, Padding, reference};

/// Reproducible values in [-1, 1).
fn values(seed: u64, len: usize) -> Vec<f64> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

/// Compares `gradient` with central differences of `loss` at `at`.
fn assert_gradient(at: &[f64], gradient: &[f64], loss: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-5;
    assert_eq!(at.len(), gradient.len());
    let mut moved = at.to_vec();
    for (i, &expected) in gradient.iter().enumerate() {
        moved[i] = at[i] + STEP;
        let above = loss(&moved);
        moved[i] = at[i] - STEP;
        let below = loss(&moved);
        moved[i] = at[i];
        let found = (above - below) / (2.0 * STEP);
        let error = (found - expected).abs() / expected.abs().max(1.0);
        assert!(error < 1e-6, "value {i}: {found} instead of {expected}");
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn sizes() -> Vec<ConvSize> {
    let mut sizes = Vec::new();
    for padding in [Padding::Same, Padding::symmetric(1)] {
        for (stride, dilation) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
            let geometry = ConvGeometry {
                kernel: [3, 3],
                stride,
                dilation,
                padding,
            };
            sizes.push(geometry.resolve(2, 5, 8).unwrap());
        }
    }
    sizes
}

#[test]
fn convolutions() {
    for (case, size) in sizes().iter().enumerate() {
        let seed = case as u64;
        let (i, o) = (2, 3);
        let input = values(seed, size.input_len(i).unwrap());
        let weights = values(!seed, 9 * i * o);
        let g = values(seed + 100, size.output_len(o).unwrap());
        let (dx, dw) = reference::conv_gradients(&input, &weights, size, i, o, &g);
        let loss = |x: &[f64], w: &[f64]| dot(&reference::conv(x, w, size, i, o), &g);
        assert_gradient(&input, &dx, |x| loss(x, &weights));
        assert_gradient(&weights, &dw, |w| loss(&input, w));
    }
}

#[test]
fn depthwise_convolutions() {
    for (case, size) in sizes().iter().enumerate() {
        for m in [1, 2] {
            let seed = case as u64;
            let c = 3;
            let input = values(seed, size.input_len(c).unwrap());
            let weights = values(!seed, 9 * c * m);
            let g = values(seed + 100, size.output_len(c * m).unwrap());
            let (dx, dw) = reference::depthwise_gradients(&input, &weights, size, c, m, &g);
            let loss = |x: &[f64], w: &[f64]| dot(&reference::depthwise(x, w, size, c, m), &g);
            assert_gradient(&input, &dx, |x| loss(x, &weights));
            assert_gradient(&weights, &dw, |w| loss(&input, w));
        }
    }
}

#[test]
fn batch_norm_and_relu6() {
    let (pixels, c, epsilon) = (7, 4, 1e-3);
    let input = values(1, pixels * c);
    // The outputs reach both bounds of ReLU6.
    let gamma: Vec<f64> = values(2, c).iter().map(|v| 4.0 + v).collect();
    let beta: Vec<f64> = values(3, c).iter().map(|v| 3.0 + v).collect();
    let g = values(4, pixels * c);
    let relu6 = Activation::Relu6;
    let forward = |x: &[f64], gamma: &[f64], beta: &[f64]| {
        reference::batch_norm_of_batch(x, gamma, beta, epsilon, relu6)
    };
    let (output, statistics) = forward(&input, &gamma, &beta);
    assert!(output.contains(&0.0) && output.contains(&6.0));
    let (dx, dgamma, dbeta) =
        reference::batch_norm_gradients(&input, &statistics, &gamma, &beta, epsilon, relu6, &g);
    assert_gradient(&input, &dx, |x| dot(&forward(x, &gamma, &beta).0, &g));
    assert_gradient(&gamma, &dgamma, |v| dot(&forward(&input, v, &beta).0, &g));
    assert_gradient(&beta, &dbeta, |v| dot(&forward(&input, &gamma, v).0, &g));
}

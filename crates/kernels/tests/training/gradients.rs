//! Compares every gradient with the naive reference, which was itself compared with finite
//! differences: channel counts around 16, odd and non-square maps, strides, dilations, paddings,
//! multipliers.

use mobilenet_kernels::backward::cross_entropy::CrossEntropy;
use mobilenet_kernels::backward::{
    activation, batch_norm, conv, depthwise, pointwise, pool, scale_shift,
};
use mobilenet_kernels::batch_norm::BatchNormParameters;
use mobilenet_kernels::{Activation, ConvGeometry, KernelError, Padding, reference};
use proptest::prelude::*;

use crate::random::{cases, values};
use crate::single_kernels::assert_close;
use crate::windows::{channel_counts, sizes};

const ACTIVATIONS: [Activation; 3] = [Activation::Relu6, Activation::Relu, Activation::Identity];
const EPSILON: f64 = 1e-3;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn filled(
    len: usize,
    fill: impl FnOnce(&mut [f32]) -> Result<(), KernelError>,
) -> Result<Vec<f32>, TestCaseError> {
    let mut values = vec![f32::NAN; len];
    fill(&mut values).map_err(|error| TestCaseError::fail(error.to_string()))?;
    Ok(values)
}

/// Whether f32 and f64 may place a value on different sides of a bound.
fn near_a_bound(y: f64, activation: Activation) -> bool {
    let (low, high) = activation.bounds();
    (y - f64::from(low)).abs() < 1e-4 || (y - f64::from(high)).abs() < 1e-4
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn conv_gradients(size in sizes(), i in 1usize..=5, o in channel_counts(), seed: u64) {
        let input = values(seed, size.input_len(i).unwrap());
        let weights = values(!seed, size.rows.kernel * size.columns.kernel * i * o);
        let g = values(seed ^ 9, size.output_len(o).unwrap());
        let (dx, dw) =
            reference::conv_gradients(&wide(&input), &wide(&weights), &size, i, o, &wide(&g));
        let found = filled(dx.len(), |to| conv::input_gradient(&weights, &size, i, o, &g, to))?;
        assert_close(&found, &dx)?;
        let found = filled(dw.len(), |to| conv::weight_gradient(&input, &size, i, o, &g, to))?;
        assert_close(&found, &dw)?;
    }

    #[test]
    fn depthwise_gradients(
        size in sizes(), c in channel_counts(), m in 1usize..=3, seed: u64,
    ) {
        let input = values(seed, size.input_len(c).unwrap());
        let weights = values(!seed, size.rows.kernel * size.columns.kernel * c * m);
        let g = values(seed ^ 9, size.output_len(c * m).unwrap());
        let (dx, dw) =
            reference::depthwise_gradients(&wide(&input), &wide(&weights), &size, c, m, &wide(&g));
        let found = filled(dx.len(), |to| depthwise::input_gradient(&weights, &size, c, m, &g, to))?;
        assert_close(&found, &dx)?;
        let found = filled(dw.len(), |to| depthwise::weight_gradient(&input, &size, c, m, &g, to))?;
        assert_close(&found, &dw)?;
    }

    /// A pointwise convolution equals a full one with a 1x1 kernel and transposed weights.
    #[test]
    fn pointwise_gradients(
        p in 1usize..=90, i in channel_counts(), o in channel_counts(), seed: u64,
    ) {
        let (input, weights, g) = (values(seed, p * i), values(!seed, o * i), values(seed ^ 9, p * o));
        let size = ConvGeometry::POINTWISE.resolve(1, 1, p).unwrap();
        let transposed = |values: &[f64], rows: usize| -> Vec<f64> {
            let columns = values.len() / rows;
            (0..values.len()).map(|at| values[at % rows * columns + at / rows]).collect()
        };
        let (dx, dw) = reference::conv_gradients(
            &wide(&input), &transposed(&wide(&weights), o), &size, i, o, &wide(&g),
        );
        let found = filled(dx.len(), |to| pointwise::input_gradient(&weights, p, i, o, &g, to))?;
        assert_close(&found, &dx)?;
        let found = filled(dw.len(), |to| pointwise::weight_gradient(&input, p, i, o, &g, to))?;
        assert_close(&found, &transposed(&dw, i))?;
    }

    #[test]
    fn batch_norm_gradients(
        p in 1usize..=300, c in channel_counts(), scaled: bool, centred: bool, seed: u64,
    ) {
        // The mean is far from 0, as it may be in a network.
        let input: Vec<f32> = values(seed, p * c).iter().map(|v| v * 2.0 + 3.0).collect();
        let gamma: Vec<f32> = values(!seed, c).iter().map(|v| 3.0 + v).collect();
        let beta: Vec<f32> = values(seed ^ 1, c).iter().map(|v| 2.5 + v).collect();
        let g = values(seed ^ 9, p * c);
        let (gamma, beta) = (scaled.then_some(&gamma[..]), centred.then_some(&beta[..]));
        let moments = batch_norm::moments(&input, c).unwrap();
        let parameters = BatchNormParameters {
            gamma,
            beta,
            mean: &moments.mean,
            variance: &moments.variance,
            epsilon: EPSILON,
        };
        let full_gamma = gamma.map_or(vec![1.0; c], wide);
        let full_beta = beta.map_or(vec![0.0; c], wide);
        for activation in ACTIVATIONS {
            let reference_of = |activation| reference::batch_norm_of_batch(
                &wide(&input), &full_gamma, &full_beta, EPSILON, activation,
            );
            let (linear, statistics) = reference_of(Activation::Identity);
            assert_close(&moments.mean, &statistics.mean)?;
            assert_close(&moments.variance, &statistics.variance)?;
            // With one pixel the normalised value is 0, so the output is beta, which may equal a
            // bound.
            let blocked: Vec<f32> = g.iter().zip(&linear)
                .map(|(&g, &y)| if near_a_bound(y, activation) { 0.0 } else { g })
                .collect();
            let (dx, dgamma, dbeta) = reference::batch_norm_gradients(
                &wide(&input), &statistics, &full_gamma, &full_beta, EPSILON, activation,
                &wide(&blocked),
            );
            let mut found = vec![f32::NAN; dx.len()];
            let of_parameters = batch_norm::gradients(
                &input, &parameters, activation, &blocked, &mut found,
            ).unwrap();
            // With few pixels the terms of dx cancel to almost nothing, but the rounding error of
            // f32 moments remains. So the error is relative to the largest term, gamma / sigma * g.
            let terms = blocked.iter().enumerate().map(|(at, &g)| {
                let sigma = (statistics.variance[at % c] + EPSILON).sqrt();
                (full_gamma[at % c] / sigma * f64::from(g)).abs()
            });
            let largest = terms.fold(1.0, f64::max);
            let share: Vec<f64> = dx.iter().map(|value| value / largest).collect();
            let found: Vec<f32> =
                found.iter().map(|&value| (f64::from(value) / largest) as f32).collect();
            assert_close(&found, &share)?;
            assert_close(&of_parameters.gamma, &dgamma)?;
            assert_close(&of_parameters.beta, &dbeta)?;
        }
    }

    #[test]
    fn scale_shift_and_activation_gradients(
        p in 1usize..=150, c in channel_counts(), seed: u64,
    ) {
        let input: Vec<f32> = values(seed, p * c).iter().map(|v| v * 9.0).collect();
        let (scale, shift) = (values(!seed, c), values(seed ^ 1, c));
        let g = values(seed ^ 9, p * c);
        for activation in ACTIVATIONS {
            let (low, high) = activation.bounds();
            let (low, high) = (f64::from(low), f64::from(high));
            let mut g = g.clone();
            let (mut dx, mut alone) = (vec![0.0; p * c], vec![0.0; p * c]);
            let (mut dscale, mut dshift) = (vec![0.0; c], vec![0.0; c]);
            for at in 0..p * c {
                let (x, channel) = (f64::from(input[at]), at % c);
                let y = x * f64::from(scale[channel]) + f64::from(shift[channel]);
                if near_a_bound(y, activation) {
                    g[at] = 0.0;
                }
                if low < x && x < high {
                    alone[at] = f64::from(g[at]);
                }
                if low < y && y < high {
                    dx[at] = f64::from(g[at]) * f64::from(scale[channel]);
                    dscale[channel] += f64::from(g[at]) * x;
                    dshift[channel] += f64::from(g[at]);
                }
            }
            let found = filled(p * c, |to| {
                scale_shift::input_gradient(&input, &scale, &shift, activation, &g, to)
            })?;
            assert_close(&found, &dx)?;
            let found =
                scale_shift::parameter_gradients(&input, &scale, &shift, activation, &g).unwrap();
            assert_close(&found.scale, &dscale)?;
            assert_close(&found.shift, &dshift)?;
            let found = filled(p * c, |to| activation::input_gradient(&input, activation, &g, to))?;
            assert_close(&found, &alone)?;
        }
    }

    /// A pool is linear. So the expected gradient of an input value is `g` times the pool's output
    /// for an input that is 1 there and 0 elsewhere.
    #[test]
    fn average_pool_gradients(size in sizes(), c in 1usize..=3, seed: u64) {
        let x = values(seed, size.input_len(c).unwrap());
        let g = values(!seed, size.output_len(c).unwrap());
        let dx = filled(x.len(), |to| pool::average_pool_gradient(&size, c, &g, to))?;
        let mut unit = vec![0.0f32; x.len()];
        let expected: Vec<f64> = (0..x.len())
            .map(|at| {
                unit[at] = 1.0;
                let y = reference::average_pool(&unit, &size, c);
                unit[at] = 0.0;
                y.iter().zip(&g).map(|(y, &g)| y * f64::from(g)).sum()
            })
            .collect();
        assert_close(&dx, &expected)?;
    }

    #[test]
    fn global_pool_gradient_is_that_of_the_whole_window(
        b in 1usize..=3, h in 1usize..=9, w in 1usize..=9, c in channel_counts(), seed: u64,
    ) {
        let g = values(seed, b * c);
        let found = filled(b * h * w * c, |to| {
            pool::global_average_pool_gradient(b, h * w, c, &g, to)
        })?;
        let whole = ConvGeometry { kernel: [h, w], stride: 1, dilation: 1, padding: Padding::VALID };
        let size = whole.resolve(b, h, w).unwrap();
        let expected = filled(b * h * w * c, |to| pool::average_pool_gradient(&size, c, &g, to))?;
        assert_close(&found, &wide(&expected))?;
    }

    #[test]
    fn cross_entropy_gradient_is_the_finite_difference(
        batch in 1usize..=4, classes in 1usize..=20, smoothing in 0.0f64..=1.0, seed: u64,
    ) {
        const STEP: f32 = 1.0 / 64.0;
        let logits: Vec<f32> = values(seed, batch * classes).iter().map(|v| v * 4.0).collect();
        let labels: Vec<u32> =
            values(!seed, batch).iter().map(|v| ((v + 1.0) * 0.5 * classes as f32) as u32).collect();
        let of = |logits: &[f32]| CrossEntropy::new(logits, &labels, classes, smoothing).unwrap().loss();
        let cross_entropy = CrossEntropy::new(&logits, &labels, classes, smoothing).unwrap();
        let found = filled(logits.len(), |to| cross_entropy.gradient(2.0, to))?;
        for at in 0..logits.len() {
            let moved = |step: f32| {
                let mut moved = logits.clone();
                moved[at] += step;
                (of(&moved), f64::from(moved[at]))
            };
            let ((above, high), (below, low)) = (moved(STEP), moved(-STEP));
            let expected = 2.0 * (above - below) / (high - low);
            let error = (f64::from(found[at]) - expected).abs();
            prop_assert!(error < 1e-4, "logit {}: {} instead of {}", at, found[at], expected);
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let geometry = ConvGeometry {
        kernel: [3, 3],
        stride: 2,
        dilation: 1,
        padding: Padding::Same,
    };
    let size = geometry.resolve(3, 61, 47).unwrap();
    let (i, o) = (24, 40);
    let input = values(1, size.input_len(i).unwrap());
    let deep = values(2, size.output_len(i).unwrap());
    let full = values(3, size.output_len(o).unwrap());
    let pixels = full.len() / o;
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let of = |len, fill: &dyn Fn(&mut [f32]) -> Result<(), KernelError>| {
                filled(len, fill).unwrap()
            };
            let moments = batch_norm::moments(&input, i).unwrap();
            let parameters = BatchNormParameters {
                gamma: None,
                beta: None,
                mean: &moments.mean,
                variance: &moments.variance,
                epsilon: EPSILON,
            };
            let g = &input[..deep.len()];
            let of_norm = of(g.len() + i, &|to| {
                let (dx, dgamma) = to.split_at_mut(g.len());
                let relu6 = Activation::Relu6;
                let found = batch_norm::gradients(g, &parameters, relu6, &deep, dx)?;
                dgamma.copy_from_slice(&found.gamma);
                Ok(())
            });
            [
                of(9 * i, &|to| {
                    depthwise::weight_gradient(&input, &size, i, 1, &deep, to)
                }),
                of(9 * i * o, &|to| {
                    conv::weight_gradient(&input, &size, i, o, &full, to)
                }),
                of(i * o, &|to| {
                    pointwise::weight_gradient(&deep, pixels, i, o, &full, to)
                }),
                moments.mean.clone(),
                moments.variance.clone(),
                of_norm,
            ]
        })
    };
    let expected = run(1);
    for threads in [2, 3] {
        assert_eq!(run(threads), expected, "{threads} threads");
    }
}

#[test]
fn slices_of_wrong_length_are_errors() {
    let geometry = ConvGeometry {
        kernel: [3, 3],
        stride: 1,
        dilation: 1,
        padding: Padding::Same,
    };
    let size = geometry.resolve(1, 4, 4).unwrap();
    let (right, short) = (&[0.0f32; 16], &[0.0f32; 15]);
    let weights = &[0.0f32; 9];
    let error = depthwise::input_gradient(weights, &size, 1, 1, short, &mut [0.0; 16]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "output gradient holds 15 values, expected 16"
    );
    assert!(depthwise::weight_gradient(right, &size, 1, 1, right, &mut [0.0; 8]).is_err());
    assert!(depthwise::input_gradient(weights, &size, 0, 1, right, &mut [0.0; 16]).is_err());
    assert!(conv::input_gradient(weights, &size, 1, 1, right, &mut [0.0; 15]).is_err());
    assert!(conv::weight_gradient(short, &size, 1, 1, right, &mut [0.0; 9]).is_err());
    assert!(pointwise::input_gradient(&[0.0; 4], 4, 4, 2, &[0.0; 8], &mut [0.0; 16]).is_err());
    assert!(pointwise::weight_gradient(&[0.0; 15], 4, 4, 2, &[0.0; 8], &mut [0.0; 8]).is_err());
    assert!(batch_norm::moments(short, 2).is_err());
    assert!(batch_norm::moments(&[], 2).is_err());
    assert!(pool::average_pool_gradient(&size, 1, short, &mut [0.0; 16]).is_err());
    assert!(pool::global_average_pool_gradient(1, 0, 1, &[0.0], &mut []).is_err());
    let relu = Activation::Relu;
    assert!(activation::input_gradient(right, relu, short, &mut [0.0; 16]).is_err());
    assert!(
        scale_shift::input_gradient(right, &[1.0; 3], &[0.0; 3], relu, right, &mut [0.0; 16])
            .is_err()
    );
    assert!(scale_shift::parameter_gradients(right, &[1.0; 4], &[0.0; 3], relu, right).is_err());
    let parameters = BatchNormParameters {
        gamma: None,
        beta: None,
        mean: &[0.0; 4],
        variance: &[1.0; 4],
        epsilon: EPSILON,
    };
    assert!(batch_norm::gradients(right, &parameters, relu, right, &mut [0.0; 12]).is_err());
    assert!(batch_norm::gradients(right, &parameters, relu, short, &mut [0.0; 16]).is_err());
}

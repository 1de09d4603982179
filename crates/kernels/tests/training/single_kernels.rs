//! Compares every kernel with the naive reference: channel counts around 16, odd and non-square
//! maps, strides 1 and 2, dilations 1, 2 and 4, SAME and explicit padding.

use mobilenet_kernels::batch_norm::{self, BatchNormParameters};
use mobilenet_kernels::conv::conv;
use mobilenet_kernels::depthwise::depthwise;
use mobilenet_kernels::pointwise::pointwise;
use mobilenet_kernels::pool::{average_pool, global_average_pool};
use mobilenet_kernels::{Activation, ConvGeometry, Padding, backward, reference};
use proptest::prelude::*;

use crate::random::{cases, values};
use crate::windows::{channel_counts, sizes};

/// Relative to the largest value. f32 sums of up to 1,000 terms stay well below this.
const TOLERANCE: f64 = 1e-5;

pub(crate) fn assert_close(found: &[f32], expected: &[f64]) -> Result<(), TestCaseError> {
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

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn conv_equals_reference(size in sizes(), i in 1usize..=5, o in channel_counts(), seed: u64) {
        let input = values(seed, size.input_len(i).unwrap());
        let weights = values(!seed, size.rows.kernel * size.columns.kernel * i * o);
        let mut output = vec![f32::NAN; size.output_len(o).unwrap()];
        conv(&input, &weights, &size, i, o, &mut output).unwrap();
        assert_close(&output, &reference::conv(&input, &weights, &size, i, o))?;
    }

    #[test]
    fn depthwise_equals_reference(
        size in sizes(), c in channel_counts(), m in 1usize..=3, seed: u64,
    ) {
        let input = values(seed, size.input_len(c).unwrap());
        let weights = values(!seed, size.rows.kernel * size.columns.kernel * c * m);
        let mut output = vec![f32::NAN; size.output_len(c * m).unwrap()];
        depthwise(&input, &weights, &size, c, m, &mut output).unwrap();
        assert_close(&output, &reference::depthwise(&input, &weights, &size, c, m))?;
    }

    #[test]
    fn pointwise_equals_reference(
        p in 1usize..=40, i in channel_counts(), o in channel_counts(), biased: bool, seed: u64,
    ) {
        let input = values(seed, p * i);
        let weights = values(!seed, o * i);
        let bias = values(seed ^ 7, o);
        let bias = biased.then_some(&bias[..]);
        let mut output = vec![f32::NAN; p * o];
        pointwise(&input, &weights, bias, p, i, o, &mut output).unwrap();
        assert_close(&output, &reference::pointwise(&input, &weights, bias, p, i, o))?;
    }

    #[test]
    fn batch_norm_equals_reference(
        p in 1usize..=40, c in channel_counts(), scaled: bool, centred: bool, seed: u64,
    ) {
        let input = values(seed, p * c);
        let (gamma, beta, mean) = (values(!seed, c), values(seed ^ 1, c), values(seed ^ 2, c));
        let variance: Vec<f32> = values(seed ^ 3, c).iter().map(|v| v + 1.0).collect();
        let parameters = BatchNormParameters {
            gamma: scaled.then_some(&gamma[..]),
            beta: centred.then_some(&beta[..]),
            mean: &mean,
            variance: &variance,
            epsilon: 1e-3,
        };
        let folded = parameters.scale_shift().unwrap();
        for activation in [Activation::Relu6, Activation::Relu, Activation::Identity] {
            let mut output = vec![f32::NAN; p * c];
            batch_norm::scale_shift(&input, &folded.scale, &folded.shift, activation, &mut output)
                .unwrap();
            assert_close(&output, &reference::batch_norm(&input, &parameters, activation))?;
        }
    }

    #[test]
    fn folded_pointwise_equals_pointwise_then_batch_norm(
        p in 1usize..=20, i in channel_counts(), o in channel_counts(), seed: u64,
    ) {
        let input = values(seed, p * i);
        let weights = values(!seed, o * i);
        let (gamma, beta, mean) = (values(seed ^ 1, o), values(seed ^ 2, o), values(seed ^ 3, o));
        let variance: Vec<f32> = values(seed ^ 4, o).iter().map(|v| v + 1.5).collect();
        let parameters = BatchNormParameters {
            gamma: Some(&gamma),
            beta: Some(&beta),
            mean: &mean,
            variance: &variance,
            epsilon: 1e-3,
        };
        let mut folded = weights.clone();
        let bias = parameters.fold_into(&mut folded).unwrap();
        let mut output = vec![f32::NAN; p * o];
        pointwise(&input, &folded, Some(&bias), p, i, o, &mut output).unwrap();
        let plain: Vec<f32> = reference::pointwise(&input, &weights, None, p, i, o)
            .iter()
            .map(|&v| v as f32)
            .collect();
        assert_close(&output, &reference::batch_norm(&plain, &parameters, Activation::Identity))?;
    }

    #[test]
    fn average_pool_equals_reference(size in sizes(), c in channel_counts(), seed: u64) {
        let input = values(seed, size.input_len(c).unwrap());
        let mut output = vec![f32::NAN; size.output_len(c).unwrap()];
        average_pool(&input, &size, c, &mut output).unwrap();
        assert_close(&output, &reference::average_pool(&input, &size, c))?;
    }

    #[test]
    fn global_pool_is_the_pool_of_the_whole_map(
        b in 1usize..=3, h in 1usize..=9, w in 1usize..=9, c in channel_counts(), seed: u64,
    ) {
        let input = values(seed, b * h * w * c);
        let mut output = vec![f32::NAN; b * c];
        global_average_pool(&input, b, h * w, c, &mut output).unwrap();
        let whole = ConvGeometry { kernel: [h, w], stride: 1, dilation: 1, padding: Padding::VALID };
        let size = whole.resolve(b, h, w).unwrap();
        assert_close(&output, &reference::average_pool(&input, &size, c))?;
    }
}

#[test]
fn one_thread_and_two_threads_give_the_same_bits() {
    let geometry = ConvGeometry {
        kernel: [3, 3],
        stride: 2,
        dilation: 1,
        padding: Padding::Same,
    };
    let size = geometry.resolve(2, 31, 17).unwrap();
    let input = values(1, size.input_len(24).unwrap());
    let weights = values(2, 9 * 24);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut output = vec![0.0; size.output_len(24).unwrap()];
        pool.install(|| depthwise(&input, &weights, &size, 24, 1, &mut output).unwrap());
        output
    };
    assert_eq!(run(1), run(2));
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
    let error = depthwise(&[0.0; 15], &[0.0; 9], &size, 1, 1, &mut [0.0; 16]).unwrap_err();
    assert_eq!(error.to_string(), "input holds 15 values, expected 16");
    assert!(conv(&[0.0; 16], &[0.0; 8], &size, 1, 1, &mut [0.0; 16]).is_err());
    assert!(pointwise(&[0.0; 16], &[0.0; 4], None, 4, 4, 2, &mut [0.0; 8]).is_err());
    assert!(average_pool(&[0.0; 16], &size, 1, &mut [0.0; 15]).is_err());
    assert!(global_average_pool(&[0.0; 16], 1, 0, 1, &mut [0.0; 1]).is_err());
}

/// The sizes are large enough that weights are packed panel by panel, and that the sums of
/// gradients are split into parts.
#[test]
fn large_matrices_equal_reference_on_any_number_of_threads() {
    let (pixels, i, o) = (300, 520, 300);
    let size = ConvGeometry::POINTWISE.resolve(1, 1, pixels).unwrap();
    let (input, weights) = (values(1, pixels * i), values(2, o * i));
    let g = values(3, pixels * o);
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&v| f64::from(v)).collect() };
    let transposed = |values: &[f64], rows: usize| -> Vec<f64> {
        let columns = values.len() / rows;
        let at = |at: usize| values[at % rows * columns + at / rows];
        (0..values.len()).map(at).collect()
    };
    let by_depth = transposed(&wide(&weights), o);
    let (dx, dw) = reference::conv_gradients(&wide(&input), &by_depth, &size, i, o, &wide(&g));
    let y = reference::pointwise(&input, &weights, None, pixels, i, o);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let mut found = [vec![0.0; y.len()], vec![0.0; dx.len()], vec![0.0; dw.len()]];
            let [y, dx, dw] = &mut found;
            pointwise(&input, &weights, None, pixels, i, o, y).unwrap();
            backward::pointwise::input_gradient(&weights, pixels, i, o, &g, dx).unwrap();
            backward::pointwise::weight_gradient(&input, pixels, i, o, &g, dw).unwrap();
            found
        })
    };
    let found = run(1);
    assert_close(&found[0], &y).unwrap();
    assert_close(&found[1], &dx).unwrap();
    assert_close(&found[2], &transposed(&dw, i)).unwrap();
    for threads in [2, 3] {
        assert_eq!(run(threads), found, "{threads} threads");
    }
}

//! Compares gradients of the CPU kernels (f32) with candle's autograd through the fallback (f64),
//! on contiguous, channels-last and cut-out inputs. Also tests that no op loses gradients.

use candle_core::{DType, Device, Result, Tensor, Var};
use mobilenet_ops::{
    Activation, ConvGeometry, Padding, activate, avg_pool2d, batch_norm, conv2d, depthwise_conv2d,
    global_avg_pool2d, max_pool2d, pointwise_conv2d, relu6, scale_shift, softmax_cross_entropy,
};

fn random(shape: &[usize]) -> Result<Tensor> {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu)
}

/// Gives the same values with other strides.
type View = dyn Fn(&Tensor) -> Result<Tensor>;

/// The weighted sum of the results of `op`. Each value has another weight, and so another gradient.
fn loss(op: &dyn Fn(&[Tensor]) -> Result<Tensor>, arguments: &[Tensor]) -> Result<Tensor> {
    let output = op(arguments)?;
    let count = output.elem_count();
    let weights = Tensor::arange(0u32, count as u32, &Device::Cpu)?;
    let weights = ((weights.to_dtype(DType::F64)? * 0.7)?.sin()? + 0.3)?;
    let weights = weights.to_dtype(output.dtype())?.reshape(output.shape())?;
    (output * weights)?.sum_all()
}

fn gradients(
    op: &dyn Fn(&[Tensor]) -> Result<Tensor>,
    arguments: &[Tensor],
    see: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    let variables = arguments
        .iter()
        .map(|argument| Var::from_tensor(&argument.copy()?))
        .collect::<Result<Vec<_>>>()?;
    let mut seen: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    seen[0] = see(&seen[0])?;
    let store = loss(op, &seen)?.backward()?;
    variables
        .iter()
        .map(|variable| {
            let gradient = store.get(variable.as_tensor()).cloned();
            gradient.ok_or_else(|| candle_core::Error::Msg("a gradient is missing".into()))
        })
        .collect()
}

fn check(name: &str, op: &dyn Fn(&[Tensor]) -> Result<Tensor>, arguments: &[Tensor]) -> Result<()> {
    let wide = arguments
        .iter()
        .map(|argument| argument.to_dtype(DType::F64));
    let expected = gradients(op, &wide.collect::<Result<Vec<_>>>()?, |xs| Ok(xs.clone()))?;
    let plain = |xs: &Tensor| Ok(xs.clone());
    let last = |xs: &Tensor| {
        let last = xs.permute((0, 2, 3, 1))?.contiguous()?;
        last.permute((0, 3, 1, 2))
    };
    let cut = |xs: &Tensor| xs.pad_with_zeros(3, 2, 1)?.narrow(3, 2, xs.dim(3)?);
    let mut ways: Vec<&View> = vec![&plain];
    if arguments[0].rank() == 4 {
        ways.extend([&last as &View, &cut]);
    }
    for see in ways {
        for (index, (found, expected)) in gradients(op, arguments, see)?
            .iter()
            .zip(&expected)
            .enumerate()
        {
            assert_eq!(found.dims(), expected.dims());
            let largest = expected.abs()?.max_all()?.to_scalar::<f64>()?.max(1e-3);
            let difference = (found.to_dtype(DType::F64)? - expected)?.abs()?.max_all()?;
            let error = difference.to_scalar::<f64>()? / largest;
            assert!(
                error < 1e-4,
                "{name}, argument {index}: relative error {error:e}"
            );
        }
    }
    Ok(())
}

#[test]
fn convolutions() -> Result<()> {
    let explicit = Padding::Explicit {
        top: 0,
        bottom: 1,
        left: 2,
        right: 1,
    };
    for padding in [Padding::Same, Padding::VALID, explicit] {
        for (kernel, stride, dilation) in [([3, 3], 1, 1), ([3, 3], 2, 1), ([2, 3], 1, 2)] {
            let geometry = ConvGeometry {
                kernel,
                stride,
                dilation,
                padding,
            };
            let xs = random(&[2, 5, 9, 7])?;
            let weight = random(&[17, 5, kernel[0], kernel[1]])?;
            let op = |a: &[Tensor]| conv2d(&a[0], &a[1], &geometry);
            check("conv2d", &op, &[xs.clone(), weight])?;
            for multiplier in [1, 3] {
                let weight = random(&[5 * multiplier, 1, kernel[0], kernel[1]])?;
                let op = |a: &[Tensor]| depthwise_conv2d(&a[0], &a[1], &geometry);
                check("depthwise_conv2d", &op, &[xs.clone(), weight])?;
            }
        }
    }
    let arguments = [random(&[2, 24, 5, 3])?, random(&[33, 24, 1, 1])?];
    check(
        "pointwise_conv2d",
        &|a| pointwise_conv2d(&a[0], &a[1]),
        &arguments,
    )
}

#[test]
fn normalisation_and_activation() -> Result<()> {
    let xs = ((random(&[3, 19, 4, 5])? * 4.0)? + 2.0)?;
    let channels = [(random(&[19])? + 2.0)?, (random(&[19])? + 1.0)?];
    let [weight, bias] = channels.clone();
    for activation in [Activation::Relu6, Activation::Relu, Activation::Identity] {
        check(
            "activate",
            &|a| activate(&a[0], activation),
            std::slice::from_ref(&xs),
        )?;
        let arguments = [xs.clone(), weight.clone(), bias.clone()];
        let op = |a: &[Tensor]| scale_shift(&a[0], &a[1], &a[2], activation);
        check("scale_shift", &op, &arguments)?;
        let norm = |xs: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>| {
            Ok(batch_norm(xs, weight, bias, 1e-3, activation)?.output)
        };
        check(
            "batch_norm",
            &|a| norm(&a[0], Some(&a[1]), Some(&a[2])),
            &arguments,
        )?;
        check(
            "batch_norm, no bias",
            &|a| norm(&a[0], Some(&a[1]), None),
            &arguments[..2],
        )?;
        check(
            "batch_norm, neither",
            &|a| norm(&a[0], None, None),
            &arguments[..1],
        )?;
    }
    Ok(())
}

#[test]
fn the_kernels_and_the_fallback_take_the_same_moments() -> Result<()> {
    let xs = ((random(&[3, 19, 4, 5])? * 0.5)? + 7.0)?;
    let wide = xs.to_dtype(DType::F64)?;
    let of = |xs: &Tensor| batch_norm(xs, None, None, 1e-3, Activation::Relu6);
    let (found, expected) = (of(&xs)?, of(&wide)?);
    for (found, expected) in [
        (found.output, expected.output),
        (found.mean, expected.mean),
        (found.variance, expected.variance),
    ] {
        let difference = (found.to_dtype(DType::F64)? - expected)?.abs()?.max_all()?;
        assert!(difference.to_scalar::<f64>()? < 1e-5);
    }
    Ok(())
}

#[test]
fn pools() -> Result<()> {
    let xs = random(&[2, 9, 8, 6])?;
    let xs = std::slice::from_ref(&xs);
    check("avg_pool2d", &|a| avg_pool2d(&a[0], [3, 2], 2), xs)?;
    check(
        "avg_pool2d, overlapping",
        &|a| avg_pool2d(&a[0], [4, 3], 1),
        xs,
    )?;
    check("global_avg_pool2d", &|a| global_avg_pool2d(&a[0]), xs)
}

#[test]
fn cross_entropy() -> Result<()> {
    let logits = (random(&[4, 7])? * 3.0)?;
    let labels = Tensor::new(&[6u32, 0, 3, 3], &Device::Cpu)?;
    for smoothing in [0.0, 0.1, 1.0] {
        let op = |a: &[Tensor]| softmax_cross_entropy(&a[0], &labels, smoothing);
        let wide = op(&[logits.to_dtype(DType::F64)?])?.to_scalar::<f64>()?;
        let found = op(std::slice::from_ref(&logits))?.to_scalar::<f32>()?;
        assert!((f64::from(found) - wide).abs() < 1e-6, "{found} {wide}");
        check("softmax_cross_entropy", &op, std::slice::from_ref(&logits))?;
    }
    let signed = softmax_cross_entropy(&logits, &labels.to_dtype(DType::I64)?, 0.0)?;
    let unsigned = softmax_cross_entropy(&logits, &labels, 0.0)?;
    assert_eq!(signed.to_scalar::<f32>()?, unsigned.to_scalar::<f32>()?);
    for (labels, smoothing, problem) in [
        (Tensor::new(&[6i64, 0, -1, 3], &Device::Cpu)?, 0.0, "label"),
        (
            Tensor::new(&[6u32, 0, 7, 3], &Device::Cpu)?,
            0.0,
            "label 7 of example 2",
        ),
        (Tensor::new(&[6u32, 0], &Device::Cpu)?, 0.0, "do not fit"),
        (Tensor::new(&[0f32; 4], &Device::Cpu)?, 0.0, "do not fit"),
        (labels.clone(), 1.5, "smoothing"),
    ] {
        let error = softmax_cross_entropy(&logits, &labels, smoothing).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
    Ok(())
}

/// This is TensorFlow's and PyTorch's convention. Kernels and fallback follow it.
#[test]
fn at_the_bounds_of_relu6_the_gradient_is_zero() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        let xs = Tensor::new(&[-1f32, 0.0, 1.0, 6.0, 7.0], &Device::Cpu)?.to_dtype(dtype)?;
        for (activation, expected) in [
            (Activation::Relu6, [0.0, 0.0, 1.0, 0.0, 0.0]),
            (Activation::Relu, [0.0, 0.0, 1.0, 1.0, 1.0]),
        ] {
            let xs = Var::from_tensor(&xs)?;
            let store = activate(xs.as_tensor(), activation)?
                .sum_all()?
                .backward()?;
            let found = store.get(xs.as_tensor()).unwrap().to_dtype(DType::F64)?;
            assert_eq!(found.to_vec1::<f64>()?, expected, "{dtype:?}");
        }
    }
    Ok(())
}

#[test]
fn no_op_severs_gradients_silently() -> Result<()> {
    let geometry = ConvGeometry {
        kernel: [3, 3],
        stride: 1,
        dilation: 1,
        padding: Padding::Same,
    };
    let xs = Var::from_tensor(&random(&[1, 4, 6, 6])?)?;
    let xs = xs.as_tensor();
    let channels = random(&[4])?;
    let relu = Activation::Relu6;
    let frozen = random(&[4, 1, 3, 3])?;
    for output in [
        conv2d(xs, &random(&[4, 4, 3, 3])?, &geometry)?,
        depthwise_conv2d(xs, &frozen, &geometry)?,
        pointwise_conv2d(xs, &random(&[5, 4, 1, 1])?)?,
        scale_shift(xs, &channels, &channels, relu)?,
        batch_norm(xs, Some(&channels), None, 1e-3, relu)?.output,
        relu6(xs)?,
        avg_pool2d(xs, [2, 2], 2)?,
        global_avg_pool2d(xs)?,
        softmax_cross_entropy(
            &xs.reshape((36, 4))?,
            &Tensor::zeros(36, DType::U32, xs.device())?,
            0.1,
        )?,
    ] {
        assert!(output.track_op());
        let store = output.sqr()?.sum_all()?.backward()?;
        let gradient = store.get(xs).expect("a gradient").abs()?.max_all()?;
        assert!(gradient.to_scalar::<f32>()? > 0.0);
        assert!(store.get(&frozen).is_none());
    }
    Ok(())
}

/// Windows that overlap, padding on one side, values that are all negative: the largest of each
/// window, and its gradient where it is.
#[test]
fn max_pool_takes_the_largest_of_each_window() -> Result<()> {
    let geometry = ConvGeometry {
        kernel: [3, 3],
        stride: 2,
        dilation: 1,
        padding: Padding::Same,
    };
    let values = [-9f32, -2.0, -7.0, -4.0, -5.0, -6.0, -3.0, -8.0];
    let xs = Var::from_tensor(&Tensor::from_slice(&values, (1, 1, 2, 4), &Device::Cpu)?)?;
    let ys = max_pool2d(&xs, &geometry)?;
    assert_eq!(ys.flatten_all()?.to_vec1::<f32>()?, [-2.0, -3.0]);
    let weights = Tensor::new(&[10f32, 100.0], &Device::Cpu)?.reshape((1, 1, 1, 2))?;
    let store = (ys * weights)?.sum_all()?.backward()?;
    let gradient = store.get(&xs).map(Tensor::flatten_all).transpose()?;
    let gradient = gradient
        .map(|gradient| gradient.to_vec1::<f32>())
        .transpose()?;
    assert_eq!(
        gradient,
        Some(vec![0.0, 10.0, 0.0, 0.0, 0.0, 0.0, 100.0, 0.0])
    );
    // A window of its own: the padding of -infinity is nowhere in the output.
    let wide = ConvGeometry {
        padding: Padding::symmetric(1),
        ..geometry
    };
    let all = max_pool2d(&xs, &wide)?.flatten_all()?.to_vec1::<f32>()?;
    assert_eq!(all, [-2.0, -2.0]);
    Ok(())
}

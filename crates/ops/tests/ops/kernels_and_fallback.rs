//! Compares the CPU kernels (f32) with the fallback (f64) through the public functions, on
//! contiguous, channels-last and cut-out inputs.

use candle_core::{DType, Device, Error, Result, Tensor, Var};
use candle_nn::{ModuleT, VarBuilder, VarMap};
use mobilenet_ops::{
    Activation, BatchNormConfig, ConvGeometry, Normalizer, Padding, SeparableConv2d,
    SeparableConv2dConfig, activate, avg_pool2d, conv2d, depthwise_conv2d, fallback,
    global_avg_pool2d, pointwise_conv2d, relu6, scale_shift,
};

fn random(shape: &[usize]) -> Result<Tensor> {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu)
}

fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64) -> Result<()> {
    assert_eq!(found.dims(), expected.dims());
    let expected = expected.to_dtype(DType::F64)?;
    let error = (found.to_dtype(DType::F64)? - &expected)?
        .abs()?
        .max_all()?;
    let scale = expected.abs()?.max_all()?.to_scalar::<f64>()?.max(1.0);
    let error = error.to_scalar::<f64>()? / scale;
    assert!(error <= tolerance, "relative error {error:e}");
    Ok(())
}

/// The same values: contiguous, channels-last, and cut out of a larger tensor.
fn stridings(xs: &Tensor) -> Result<Vec<Tensor>> {
    let channels_last = xs
        .permute((0, 2, 3, 1))?
        .contiguous()?
        .permute((0, 3, 1, 2))?;
    let larger = xs.pad_with_zeros(1, 1, 2)?.pad_with_zeros(3, 2, 1)?;
    let cut = larger.narrow(1, 1, xs.dim(1)?)?.narrow(3, 2, xs.dim(3)?)?;
    assert!(!channels_last.is_contiguous() && !cut.is_contiguous());
    Ok(vec![xs.clone(), channels_last, cut])
}

fn geometries() -> Vec<ConvGeometry> {
    let mut all = Vec::new();
    for padding in [
        Padding::Same,
        Padding::symmetric(1),
        Padding::Explicit {
            top: 0,
            bottom: 1,
            left: 0,
            right: 1,
        },
    ] {
        for (kernel, stride, dilation) in [
            ([3, 3], 1, 1),
            ([3, 3], 2, 1),
            ([3, 3], 1, 2),
            ([5, 3], 2, 2),
            ([1, 1], 2, 1),
        ] {
            all.push(ConvGeometry {
                kernel,
                stride,
                dilation,
                padding,
            });
        }
    }
    all
}

#[test]
fn conv2d_equals_fallback() -> Result<()> {
    let weight_of = |kernel: [usize; 2]| random(&[17, 3, kernel[0], kernel[1]]);
    for geometry in geometries() {
        let (xs, weight) = (random(&[2, 3, 12, 9])?, weight_of(geometry.kernel)?);
        let expected = conv2d(
            &xs.to_dtype(DType::F64)?,
            &weight.to_dtype(DType::F64)?,
            &geometry,
        )?;
        for xs in stridings(&xs)? {
            assert_close(&conv2d(&xs, &weight, &geometry)?, &expected, 1e-5)?;
        }
    }
    Ok(())
}

#[test]
fn depthwise_conv2d_equals_fallback() -> Result<()> {
    for geometry in geometries() {
        for multiplier in [1, 2] {
            let xs = random(&[2, 19, 11, 8])?;
            let weight = random(&[19 * multiplier, 1, geometry.kernel[0], geometry.kernel[1]])?;
            let expected = depthwise_conv2d(
                &xs.to_dtype(DType::F64)?,
                &weight.to_dtype(DType::F64)?,
                &geometry,
            )?;
            for xs in stridings(&xs)? {
                assert_close(&depthwise_conv2d(&xs, &weight, &geometry)?, &expected, 1e-5)?;
            }
        }
    }
    Ok(())
}

#[test]
fn pointwise_conv2d_equals_fallback() -> Result<()> {
    let (xs, weight) = (random(&[2, 24, 7, 5])?, random(&[33, 24, 1, 1])?);
    let expected = pointwise_conv2d(&xs.to_dtype(DType::F64)?, &weight.to_dtype(DType::F64)?)?;
    for xs in stridings(&xs)? {
        assert_close(&pointwise_conv2d(&xs, &weight)?, &expected, 1e-5)?;
        assert_close(
            &pointwise_conv2d(&xs, &weight.reshape((33, 24))?)?,
            &expected,
            1e-5,
        )?;
        let transposed = weight.reshape((33, 24))?.t()?.contiguous()?.t()?;
        assert_close(&pointwise_conv2d(&xs, &transposed)?, &expected, 1e-5)?;
    }
    Ok(())
}

#[test]
fn scale_shift_activation_and_pools_equal_fallback() -> Result<()> {
    let xs = (random(&[2, 9, 8, 6])? * 5.0)?;
    let (scale, shift) = (random(&[9])?, random(&[9])?);
    let wide = |t: &Tensor| t.to_dtype(DType::F64);
    for activation in [Activation::Relu6, Activation::Relu, Activation::Identity] {
        let expected = scale_shift(&wide(&xs)?, &wide(&scale)?, &wide(&shift)?, activation)?;
        let expected_alone = fallback::activate(&wide(&xs)?, activation)?;
        for xs in stridings(&xs)? {
            assert_close(
                &scale_shift(&xs, &scale, &shift, activation)?,
                &expected,
                1e-6,
            )?;
            assert_close(&activate(&xs, activation)?, &expected_alone, 1e-6)?;
        }
    }
    let pooled = avg_pool2d(&wide(&xs)?, [7, 5], 2)?;
    let mean = global_avg_pool2d(&wide(&xs)?)?;
    assert_eq!(
        (pooled.dims(), mean.dims()),
        (&[2, 9, 1, 1][..], &[2, 9, 1, 1][..])
    );
    for xs in stridings(&xs)? {
        assert_close(&avg_pool2d(&xs, [7, 5], 2)?, &pooled, 1e-6)?;
        assert_close(&global_avg_pool2d(&xs)?, &mean, 1e-6)?;
    }
    Ok(())
}

#[test]
fn half_precision_runs_by_the_fallback() -> Result<()> {
    let geometry = ConvGeometry {
        kernel: [3, 3],
        stride: 2,
        dilation: 1,
        padding: Padding::Same,
    };
    let (xs, weight) = (random(&[1, 8, 10, 10])?, random(&[8, 1, 3, 3])?);
    let expected = depthwise_conv2d(&xs, &weight, &geometry)?;
    for (dtype, tolerance) in [(DType::F16, 4e-3), (DType::BF16, 3e-2)] {
        let found = depthwise_conv2d(&xs.to_dtype(dtype)?, &weight.to_dtype(dtype)?, &geometry)?;
        assert_eq!(found.dtype(), dtype);
        assert_close(&found, &expected, tolerance)?;
    }
    Ok(())
}

#[test]
fn the_fallback_differentiates() -> Result<()> {
    let geometry = ConvGeometry {
        kernel: [3, 3],
        stride: 2,
        dilation: 1,
        padding: Padding::Same,
    };
    let xs = Var::from_tensor(&random(&[1, 2, 5, 4])?.to_dtype(DType::F64)?)?;
    let weight = Var::from_tensor(&random(&[2, 1, 3, 3])?.to_dtype(DType::F64)?)?;
    let loss = |w: &Tensor| {
        depthwise_conv2d(xs.as_tensor(), w, &geometry)?
            .sqr()?
            .sum_all()
    };
    let gradients = loss(weight.as_tensor())?.backward()?;
    let gradient = gradients
        .get(weight.as_tensor())
        .unwrap()
        .flatten_all()?
        .to_vec1::<f64>()?;
    let values = weight.flatten_all()?.to_vec1::<f64>()?;
    for (i, gradient) in gradient.iter().enumerate() {
        let shifted = |delta: f64| -> Result<f64> {
            let mut values = values.clone();
            values[i] += delta;
            loss(&Tensor::from_vec(values, (2, 1, 3, 3), &Device::Cpu)?)?.to_scalar()
        };
        let numeric = (shifted(1e-5)? - shifted(-1e-5)?) / 2e-5;
        assert!(
            (gradient - numeric).abs() < 1e-5,
            "{i}: {gradient} {numeric}"
        );
    }
    assert!(gradients.get(xs.as_tensor()).is_some());
    Ok(())
}

#[test]
fn shapes_that_do_not_fit_are_errors() -> Result<()> {
    let geometry = ConvGeometry {
        kernel: [3, 3],
        stride: 1,
        dilation: 1,
        padding: Padding::VALID,
    };
    let xs = random(&[1, 4, 6, 6])?;
    assert!(conv2d(&xs, &random(&[4, 3, 3, 3])?, &geometry).is_err());
    assert!(conv2d(&xs, &random(&[4, 4, 1, 1])?, &geometry).is_err());
    assert!(depthwise_conv2d(&xs, &random(&[6, 1, 3, 3])?, &geometry).is_err());
    assert!(pointwise_conv2d(&xs, &random(&[6, 3])?).is_err());
    assert!(scale_shift(&xs, &random(&[3])?, &random(&[4])?, Activation::Relu).is_err());
    assert!(avg_pool2d(&xs, [7, 7], 2).is_err());
    let small = random(&[1, 4, 2, 6])?;
    let error = depthwise_conv2d(&small, &random(&[4, 1, 3, 3])?, &geometry).unwrap_err();
    assert!(error.to_string().contains("rows"), "{error}");
    assert!(!matches!(error, Error::BackwardNotSupported { .. }));
    Ok(())
}

/// As in slim's `separable_conv2d`: with an output depth, the pointwise part directly follows the
/// depthwise part. Without one there is only the depthwise part.
#[test]
fn separable_conv2d_is_depthwise_then_pointwise() -> Result<()> {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let geometry = ConvGeometry {
        kernel: [3, 3],
        stride: 1,
        dilation: 2,
        padding: Padding::Same,
    };
    let config = SeparableConv2dConfig {
        out_channels: Some(7),
        channel_multiplier: 2,
        geometry,
        normalizer: Normalizer::BatchNorm(BatchNormConfig::default()),
        activation: Activation::Relu6,
    };
    let both = SeparableConv2d::new(5, config, vb.pp("both"))?;
    let alone = SeparableConv2d::new(
        5,
        SeparableConv2dConfig {
            out_channels: None,
            normalizer: Normalizer::None,
            activation: Activation::Identity,
            ..config
        },
        vb.pp("alone"),
    )?;
    let variables = map.data().lock().unwrap().clone();
    assert_eq!(variables["both.depthwise.weight"].dims(), [10, 1, 3, 3]);
    assert_eq!(variables["both.pointwise.weight"].dims(), [7, 10, 1, 1]);
    assert_eq!(variables["both.batch_norm.running_var"].dims(), [7]);
    assert_eq!(variables["alone.weight"].dims(), [10, 1, 3, 3]);

    let xs = random(&[2, 5, 9, 6])?;
    let middle = depthwise_conv2d(
        &xs,
        variables["both.depthwise.weight"].as_tensor(),
        &geometry,
    )?;
    let last = pointwise_conv2d(&middle, variables["both.pointwise.weight"].as_tensor())?;
    let expected = relu6(&(last / (1.0f64 + 1e-3).sqrt())?)?;
    assert_close(&both.forward_t(&xs, false)?, &expected, 1e-5)?;
    let expected = depthwise_conv2d(&xs, variables["alone.weight"].as_tensor(), &geometry)?;
    assert_close(&alone.forward_t(&xs, false)?, &expected, 1e-6)?;
    Ok(())
}

//! Networks of integers with another output stride.

use mobilenet_model::MobileNetV1Config;
use mobilenet_model::quantized::{
    Arithmetic, IntegerImages, IntegerNetwork, IntegerOutput, IntegerPlan, IntegerPlanOptions,
    IntegerPlanOutput, QuantizedWeights, RandomWeights, random_integers, with_output_stride,
};

const LAST: &str = "Conv2d_13_pointwise";

/// The shape and the integers of an endpoint.
fn endpoint(network: IntegerNetwork, name: &str) -> ([usize; 3], Vec<i8>) {
    let weights = QuantizedWeights::new(network, Arithmetic::Xnnpack).unwrap();
    let options = IntegerPlanOptions {
        output: IntegerPlanOutput::Endpoint(name.to_string()),
        ..IntegerPlanOptions::new(&weights, 2)
    };
    let mut plan = IntegerPlan::new(&weights, &options).unwrap();
    let image: Vec<i8> = (0..plan.input_len()).map(|i| (i * 97) as i8).collect();
    let mut output = vec![0; plan.output_len()];
    let images = IntegerImages::I8(&image);
    plan.run(&images, IntegerOutput::I8(&mut output)).unwrap();
    (plan.output_shape(), output)
}

/// Maps of odd sizes are padded evenly, so that the strided network's pixels are every second one
/// of the dilated network's.
#[test]
fn dilated_layers_compute_what_strided_ones_do_and_more() {
    let mut config = MobileNetV1Config::with_width(0.25);
    let network = random_integers(&config, [65, 65], RandomWeights::Uniform, 5).unwrap();
    let ([rows, columns, channels], strided) = endpoint(network.clone(), LAST);
    assert_eq!([rows, columns, channels], [3, 3, 256]);
    for (stride, step, size) in [(16, 2, 5), (8, 4, 9)] {
        config.base.output_stride = Some(stride);
        let dilated = with_output_stride(network.clone(), &config).unwrap();
        let (shape, dilated) = endpoint(dilated, LAST);
        assert_eq!(shape, [size, size, channels]);
        for y in 0..rows {
            for x in 0..columns {
                let pixel = |y: usize, x: usize, width: usize, map: &[i8]| {
                    map[(y * width + x) * channels..][..channels].to_vec()
                };
                let expected = pixel(y, x, columns, &strided);
                assert_eq!(pixel(step * y, step * x, size, &dilated), expected);
            }
        }
    }
}

#[test]
fn impossible_strides_are_errors() {
    let mut config = MobileNetV1Config::with_width(0.25);
    let network = random_integers(&config, [64, 64], RandomWeights::Uniform, 5).unwrap();
    config.base.output_stride = Some(12);
    let error = with_output_stride(network.clone(), &config).unwrap_err();
    assert!(error.to_string().contains("12"), "{error}");
    let mut other = network;
    other.layers.remove(1);
    config.base.output_stride = Some(16);
    let error = with_output_stride(other, &config).unwrap_err();
    assert!(error.to_string().contains("Conv2d_1_depthwise"), "{error}");
}

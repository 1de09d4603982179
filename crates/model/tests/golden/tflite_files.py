"""TFLite files of TensorFlow's converter, and the logits of what they say.

A quantised network's truth here is the network of its dequantised weights, computed in TensorFlow
from the tensors that LiteRT shows; LiteRT's own integer result has to agree in the best class.
"""

import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from formula import FOLDER, image_batch, write
from keras_files import ALPHA, FRAMEWORK, keras, randomize


def dequantized(interpreter, detail):
    values = interpreter.get_tensor(detail["index"])
    quantization = detail["quantization_parameters"]
    scales, zero_points = quantization["scales"], quantization["zero_points"]
    if len(scales) == 0:
        return values.astype(np.float32)
    shape = [1] * values.ndim
    if len(scales) > 1:
        shape[quantization["quantized_dimension"]] = -1
    q = values.astype(np.int64) - zero_points.astype(np.int64).reshape(shape)
    return (scales.astype(np.float64).reshape(shape) * q).astype(np.float32)


def parameters(interpreter):
    """(weights, bias) of each convolution and of a dense classifier, in order."""
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    for operator in interpreter._get_ops_details():
        if operator["op_name"] in ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]:
            _, weights, bias = operator["inputs"]
            yield operator["op_name"], dequantized(interpreter, details[weights]), dequantized(interpreter, details[bias])


def float_logits(interpreter, images, keras_padding):
    """The network of the dequantised weights on real numbers, NHWC."""
    x, layer = tf.constant(images), 0
    strides = [2] + [s for block in [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1] for s in (block, 1)]
    for op, weights, bias in parameters(interpreter):
        if layer == 27:
            x = tf.reduce_mean(x, [1, 2])
            return (x @ weights.reshape(len(bias), -1).T + bias).numpy()
        stride = strides[layer]
        padding = "SAME"
        if op == "DEPTHWISE_CONV_2D":
            if keras_padding and stride == 2:
                x, padding = tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]]), "VALID"
            # [1, rows, columns, channels] -> [rows, columns, channels, 1].
            x = tf.nn.depthwise_conv2d(x, weights[0][..., None], [1, stride, stride, 1], padding)
        else:
            x = tf.nn.conv2d(x, weights.transpose(1, 2, 3, 0), stride, padding)
        x = tf.nn.relu6(x + bias)
        layer += 1


def run(interpreter, images):
    """LiteRT's own result on real numbers, dequantised."""
    interpreter.allocate_tensors()
    [inputs], [outputs] = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for image in images:
        if inputs["dtype"] != np.float32:
            scale, zero_point = inputs["quantization"]
            limits = np.iinfo(inputs["dtype"])
            image = np.clip(np.round(image / scale) + zero_point, limits.min, limits.max)
        interpreter.set_tensor(inputs["index"], image[None].astype(inputs["dtype"]))
        interpreter.invoke()
        results.append(dequantized(interpreter, interpreter.get_output_details()[0])[0])
    return np.array(results).reshape(len(images), -1)


def convert(model, images, signed=None, quantized=True):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: [[image[None]] for image in images]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8 if signed else tf.uint8
        converter.inference_output_type = converter.inference_input_type
    return converter.convert()


def main():
    images = image_batch(96, 96).transpose(0, 2, 3, 1)
    # Noise averages out; this tells the images apart.
    images[1] = images[1] / 4 + 0.5
    model = keras.applications.MobileNet(
        (96, 96, 3), alpha=ALPHA, weights=None, classes=10, classifier_activation=None
    )
    randomize(model, "quantised", images)
    files = {
        "float.tflite": convert(model, images, quantized=False),
        "int8.tflite": convert(model, images, signed=True),
        "uint8_input.tflite": convert(model, images, signed=False),
    }
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    files["float16.tflite"] = converter.convert()
    results = {}
    with zipfile.ZipFile(FOLDER / "tflite_files.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
            interpreter = tf.lite.Interpreter(
                model_content=content,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            own = run(interpreter, images)
            if name == "float16.tflite":
                expected = own
            else:
                expected = float_logits(interpreter, images, keras_padding=True)
            print(name, len(content), np.abs(own - expected).max(), own.argmax(1), expected.argmax(1))
            assert (own.argmax(1) == expected.argmax(1)).all()
            if name == "float.tflite":
                assert np.abs(own - expected).max() < 1e-4
            results[name] = np.asarray(expected, np.float32)
    print(results)
    write("tflite_files.safetensors", results, {"framework": FRAMEWORK})


if __name__ == "__main__":
    main()

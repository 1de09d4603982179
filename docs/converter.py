"""Quantises weights of ours by TensorFlow's converter, for the comparison in integers.md (TensorFlow
2.21):

    python docs/converter.py WEIGHTS.safetensors PHOTOS OUT

WEIGHTS is a 1.0/224 of 1,001 classes in our format, PHOTOS a folder, of which 100 photos calibrate.
Writes OUT/per_channel.tflite and OUT/per_tensor.tflite; `mobilenet eval --precision int8` runs them
to the bits of LiteRT.
"""

import pathlib
import sys

import numpy
import tensorflow
from PIL import Image
from safetensors.numpy import load_file

SIZE = 224


def network(weights):
    """Keras' MobileNet with these weights."""
    model = tensorflow.keras.applications.MobileNet(
        weights=None, classes=1001, classifier_activation=None
    )

    def norm(name):
        parts = ["weight", "bias", "running_mean", "running_var"]
        return [weights[f"{name}.batch_norm.{part}"] for part in parts]

    def conv(layer, name, axes):
        model.get_layer(layer).set_weights([weights[f"{name}.weight"].transpose(axes)])
        model.get_layer(f"{layer}_bn").set_weights(norm(name))

    conv("conv1", "Conv2d_0", (2, 3, 1, 0))
    for i in range(1, 14):
        conv(f"conv_dw_{i}", f"Conv2d_{i}_depthwise", (2, 3, 0, 1))
        conv(f"conv_pw_{i}", f"Conv2d_{i}_pointwise", (2, 3, 1, 0))
    logits = "Logits.Conv2d_1c_1x1"
    kernel = weights[f"{logits}.weight"].transpose(2, 3, 1, 0)
    model.get_layer("conv_preds").set_weights([kernel, weights[f"{logits}.bias"]])
    return model


def samples(photos):
    """Photos by timm's rule."""
    paths = sorted(p for p in photos.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    for path in paths[:: max(1, len(paths) // 100)][:100]:
        photo = Image.open(path).convert("RGB")
        scale = round(SIZE / 0.875) / min(photo.size)
        photo = photo.resize([round(side * scale) for side in photo.size], Image.BICUBIC)
        left, top = [(side - SIZE) // 2 for side in photo.size]
        photo = photo.crop((left, top, left + SIZE, top + SIZE))
        yield [numpy.asarray(photo, numpy.float32)[None] / 127.5 - 1]


def main():
    weights, photos, out = map(pathlib.Path, sys.argv[1:])
    model = network(load_file(weights))
    for name, per_tensor in [("per_channel", False), ("per_tensor", True)]:
        converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: samples(photos)
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tensorflow.int8
        converter._experimental_disable_per_channel = per_tensor
        (out / f"{name}.tflite").write_bytes(converter.convert())


main()

"""Expected results of the real files in ../shared/data, which are no part of the project.

For each photo a crop of its centre, which needs no resizing and so is the same everywhere: every
13th logit. And for the whole photo, squeezed by Pillow, the best class: several where LiteRT's
8-bit probabilities are equal.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from formula import FOLDER, write
from keras_files import FRAMEWORK, keras
from tflite_files import dequantized, float_logits

STEP = 13


class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras 2 wrote an argument that Keras 3 does not know."""

    @classmethod
    def from_config(cls, config):
        assert config.pop("groups", 1) == 1
        return cls(**config)


def load(path):
    return keras.models.load_model(path, compile=False, custom_objects={"DepthwiseConv2D": DepthwiseConv2D})


BITMAPS = ["bird.bmp", "cat.bmp", "grace_hopper.bmp", "sunflower.bmp"]


def crops(photos, side):
    """[photos, side, side, 3] of 0 to 255."""
    images = []
    for name in BITMAPS:
        image = np.asarray(Image.open(photos / name).convert("RGB"))
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        images.append(image[top : top + side, left : left + side])
    return np.array(images)


def squeezed(photos, side):
    names = sorted(path.name for path in photos.iterdir())
    images = [Image.open(photos / name).convert("RGB").resize((side, side), Image.BILINEAR) for name in names]
    return names, np.array([np.asarray(image) for image in images])


def quantised(interpreter, images):
    """LiteRT's own integer result, dequantised."""
    interpreter.allocate_tensors()
    [inputs] = interpreter.get_input_details()
    offset = 128 if inputs["dtype"] == np.int8 else 0
    results = []
    for image in images:
        interpreter.set_tensor(inputs["index"], (image.astype(int) - offset)[None].astype(inputs["dtype"]))
        interpreter.invoke()
        results.append(dequantized(interpreter, interpreter.get_output_details()[0]).reshape(-1))
    return np.array(results)


def main():
    shared = Path(sys.argv[1]) / "data"
    models, photos = shared / "models", shared / "photos"
    results, best = {}, {}

    model = load(models / "mobilenet_v1_0.25_224.h5")
    model = keras.Model(model.input, model.layers[-2].output)
    scale = lambda images: (images / 127.5 - 1).astype(np.float32)
    results["mobilenet_v1_0.25_224.h5"] = np.asarray(model(scale(crops(photos, 224))))
    names, images = squeezed(photos, 224)
    best["mobilenet_v1_0.25_224.h5"] = np.asarray(model(scale(images)))

    model = load(models / "vww_96.h5")
    model.layers[-1].activation = keras.activations.linear
    results["vww_96.h5"] = np.asarray(model((crops(photos, 96) / 255).astype(np.float32)))
    best["vww_96.h5"] = np.asarray(model((squeezed(photos, 96)[1] / 255).astype(np.float32)))

    for name, side in [("mobilenet_v1_0.25_128_quant.tflite", 128), ("mobilenet_v1_0.75_192_quant.tflite", 192)]:
        interpreter = tf.lite.Interpreter(
            str(models / name),
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        best[name] = quantised(interpreter, squeezed(photos, side)[1])
        step, zero_point = interpreter.get_input_details()[0]["quantization"]
        pixels = ((crops(photos, side).astype(np.float64) - zero_point) * step).astype(np.float32)
        results[name] = float_logits(interpreter, pixels, keras_padding=False)
    metadata = {"framework": FRAMEWORK, "photos": ",".join(names), "step": str(STEP)}
    for name, values in best.items():
        tied = [np.flatnonzero(row == row.max()) for row in values]
        metadata[f"best.{name}"] = ",".join("|".join(str(index) for index in indices) for indices in tied)
        print(name, values.argmax(1), results[name].argmax(1), results[name].max(1))
    sampled = {name: np.ascontiguousarray(values[:, ::STEP]) for name, values in results.items()}
    write("real_files.safetensors", sampled, metadata)


if __name__ == "__main__":
    main()

"""Golden results of the augmentation of TF-slim: colours, resizing, and the distorted crop's distribution."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pathlib import Path

import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file

HERE = Path(__file__).parent
DRAWS = 20_000
# Chances at which the distribution's quantiles are stored.
CHANCES = np.linspace(0.0, 1.0, 51)


def colour_image(rng):
    """Noise in [0, 1] with black, white, grey and pure pixels in its first row."""
    image = rng.random((9, 11, 3), dtype=np.float32)
    image[0, :7] = [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]
    return image


def ordering(image, steps):
    """slim's distort_color with fixed parameters, in one of its orders."""
    operations = {
        "brightness": lambda x: tf.image.adjust_brightness(x, -0.11),
        "saturation": lambda x: tf.image.adjust_saturation(x, 1.4),
        "hue": lambda x: tf.image.adjust_hue(x, 0.17),
        "contrast": lambda x: tf.image.adjust_contrast(x, 1.3),
    }
    for step in steps:
        image = operations[step](image)
    return tf.clip_by_value(image, 0.0, 1.0)


def crops(height, width, smallest):
    """Quantiles of area, aspect and centre over many crops, shape [4, len(CHANCES)]."""

    @tf.function
    def draw():
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            [height, width, 3],
            bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            min_object_covered=0.1,
            aspect_ratio_range=(0.75, 1.33),
            area_range=(smallest, 1.0),
            max_attempts=100,
            use_image_if_no_bounding_boxes=True,
        )
        return tf.concat([begin[:2], size[:2]], axis=0)

    boxes = np.stack([draw().numpy() for _ in range(DRAWS)]).astype(np.float64)
    top, left, rows, columns = boxes.T
    figures = [
        rows * columns / (height * width),
        columns / rows,
        (top + rows / 2) / height,
        (left + columns / 2) / width,
    ]
    return np.stack([np.quantile(figure, CHANCES, method="inverted_cdf") for figure in figures])


def main():
    rng = np.random.default_rng(20170417)
    tf.random.set_seed(7)
    colour = colour_image(rng)
    photo = rng.integers(0, 256, (23, 31, 3), dtype=np.uint8)
    tensors = {
        "colour": colour,
        "brightness": tf.image.adjust_brightness(colour, 0.09).numpy(),
        "saturation_less": tf.image.adjust_saturation(colour, 0.6).numpy(),
        "saturation_more": tf.image.adjust_saturation(colour, 1.45).numpy(),
        "hue_back": tf.image.adjust_hue(colour, -0.19).numpy(),
        "hue_on": tf.image.adjust_hue(colour, 0.13).numpy(),
        "contrast": tf.image.adjust_contrast(colour, 1.37).numpy(),
        "order_fast_0": ordering(colour, ["brightness", "saturation"]).numpy(),
        "order_fast_1": ordering(colour, ["saturation", "brightness"]).numpy(),
        "order_0": ordering(colour, ["brightness", "saturation", "hue", "contrast"]).numpy(),
        "order_1": ordering(colour, ["saturation", "brightness", "contrast", "hue"]).numpy(),
        "order_2": ordering(colour, ["contrast", "hue", "brightness", "saturation"]).numpy(),
        "order_3": ordering(colour, ["hue", "saturation", "contrast", "brightness"]).numpy(),
        "photo": photo,
    }
    # The crop with top 3, left 5, 17 rows and 22 columns, made smaller and larger.
    crop = tf.image.convert_image_dtype(photo, tf.float32)[3 : 3 + 17, 5 : 5 + 22]
    methods = tf.compat.v1.image.ResizeMethod
    for name in ["BILINEAR", "NEAREST_NEIGHBOR", "BICUBIC", "AREA"]:
        for side in [12, 26]:
            resized = tf.compat.v1.image.resize_images(crop, [side, side], getattr(methods, name), align_corners=False)
            tensors[f"{name.lower()}_{side}"] = resized.numpy().astype(np.float32)
    for height, width in [(480, 640), (50, 200), (28, 28)]:
        tensors[f"crops_{height}_{width}_slim"] = crops(height, width, 0.05)
    tensors["crops_480_640_quarter"] = crops(480, 640, 0.25)
    tensors["crop_chances"] = CHANCES
    for name, value in tensors.items():
        print(f"{name}: {value.shape} {value.dtype} in [{value.min():.3f}, {value.max():.3f}]")
    save_file(tensors, HERE / "augmentation.safetensors", {"framework": f"tensorflow {tf.__version__}"})


if __name__ == "__main__":
    main()

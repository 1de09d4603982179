"""Golden results of the image preprocessing of TF-slim, transformers and timm."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import PIL
import timm
import torchvision
import transformers
from PIL import Image
from timm.data import create_transform
from transformers.models.mobilenet_v1.image_processing_pil_mobilenet_v1 import MobileNetV1ImageProcessorPil

import tensorflow as tf  # After torchvision: in the other order the two clash when loaded.

from formula import random_bits, write

HEIGHT, WIDTH = 47, 61
FRAMEWORK = (
    f"tensorflow {tf.__version__}, transformers {transformers.__version__}, timm {timm.__version__}, "
    f"torchvision {torchvision.__version__.split('+')[0]}, pillow {PIL.__version__}"
)


def noise_image():
    """The top byte of each pseudo-random number."""
    bits = random_bits("image", HEIGHT * WIDTH * 3) >> np.uint64(56)
    return bits.astype(np.uint8).reshape(HEIGHT, WIDTH, 3)


def smooth_image():
    y, x, c = np.indices((HEIGHT, WIDTH, 3))
    value = np.round(127.5 + 127.5 * np.sin(0.13 * x + 0.05 * y * (c + 1)))
    return value.clip(0, 255).astype(np.uint8)


def slim(image, height, width, crop=0.875):
    """TF-slim evaluation: central crop, bilinear resize without half-pixel centres, [-1, 1]."""
    x = tf.image.convert_image_dtype(image, tf.float32)
    if crop:
        x = tf.image.central_crop(x, crop)
    x = tf.compat.v1.image.resize_bilinear(x[None], [height, width], align_corners=False, half_pixel_centers=False)
    return ((x[0] - 0.5) * 2.0).numpy()


def hugging_face(image, edge=40, size=32):
    """The Pillow backend of transformers: shorter edge, centre crop, [-1, 1]."""
    processor = MobileNetV1ImageProcessorPil(
        size={"shortest_edge": edge}, crop_size={"height": size, "width": size}
    )
    pixels = processor(Image.fromarray(image), return_tensors="np")["pixel_values"][0]
    return np.ascontiguousarray(pixels.transpose(1, 2, 0), dtype=np.float32)


def plain(image, size=32):
    """The whole image squeezed by Pillow's bilinear filter, [-1, 1]."""
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return (np.asarray(resized, dtype=np.float32) / 255 - 0.5) / 0.5


def timm_eval(image, size=32, crop=0.875):
    """timm evaluation: bicubic shorter edge of floor(size / crop), centre crop, [-1, 1]."""
    transform = create_transform(
        (3, size, size), is_training=False, interpolation="bicubic", crop_pct=crop, mean=(0.5,) * 3, std=(0.5,) * 3
    )
    return transform(Image.fromarray(image)).permute(1, 2, 0).contiguous().numpy()


def main():
    noise, smooth = noise_image(), smooth_image()
    tensors = {
        "noise_image": noise,
        "smooth_image": smooth,
        "slim": slim(noise, 32, 32),
        "slim_odd": slim(noise, 33, 21),
        "uncropped": slim(noise, 32, 32, crop=None),
        "uncropped_up": slim(noise, 50, 64, crop=None),
        "plain": plain(noise),
        "hugging_face": hugging_face(noise),
        "timm": timm_eval(noise),
        # Left offsets of 2.5 and 1.5 pixels: torchvision rounds both to 2 (half to even).
        "timm_half_down": timm_eval(noise, 18, 1.0),
        "timm_half_up": timm_eval(noise, 12, 1.0),
        "smooth_slim": slim(smooth, 32, 32),
        "smooth_hugging_face": hugging_face(smooth),
        "smooth_timm": timm_eval(smooth),
    }
    for name, value in tensors.items():
        print(f"{name}: {value.shape} {value.dtype} in [{value.min():.3f}, {value.max():.3f}], mean {value.mean():.3f}")
    write("preprocess.safetensors", tensors, {"framework": FRAMEWORK, "layout": "height, width, channel"})


if __name__ == "__main__":
    main()

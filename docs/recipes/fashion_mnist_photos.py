"""Writes some of Fashion-MNIST's training images as PNG files, to calibrate integers with.

    python fashion_mnist_photos.py /usr/share/datasets/fashion-mnist photos --count 600
"""

import argparse
import gzip
from pathlib import Path

import numpy as np
from PIL import Image

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--count", type=int, default=600)
arguments = parser.parse_args()

with gzip.open(arguments.data / "train-images-idx3-ubyte.gz") as file:
    images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
arguments.out.mkdir(parents=True, exist_ok=True)
for index in range(arguments.count):
    Image.fromarray(images[index]).save(arguments.out / f"{index:05}.png")

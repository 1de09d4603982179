"""The folded network: every layer a convolution with a bias, ReLU6 after all but the last."""

import json
from pathlib import Path

import numpy as np


class Layer:
    """One convolution. `weight` is [out, in, rows, columns], `in` 1 where it is depthwise."""

    def __init__(self, description, weight, bias):
        self.name = description["name"]
        self.depthwise = description["depthwise"]
        self.stride = description["stride"]
        # Rows and columns of zeros: top, left, bottom, right.
        self.padding = description["padding"]
        self.output = description["output"]
        self.weight = weight
        self.bias = bias


class Network:
    """Layers, classifier, size of the input and what the logits of the image must be."""

    def __init__(self, folder):
        folder = Path(folder)
        description = json.loads((folder / "network.json").read_text())
        tensors = read_safetensors(folder / "network.safetensors")
        self.height, self.width = description["size"]
        self.layers = [
            Layer(layer, tensors[f"{layer['name']}.weight"], tensors[f"{layer['name']}.bias"])
            for layer in description["layers"]
        ]
        self.logits_weight = tensors["logits.weight"]
        self.logits_bias = tensors["logits.bias"]
        # [1, height, width, 3]
        self.image = read_safetensors(folder / "image.safetensors")["image"]

    def batch(self, count, channels_first):
        """The image `count` times."""
        images = np.repeat(self.image, count, axis=0)
        if channels_first:
            images = images.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(images)


def read_safetensors(path):
    """f32 tensors by name."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            values = np.frombuffer(data[start:end], dtype=np.float32)
            tensors[name] = values.reshape(entry["shape"])
    return tensors

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
        # Of a predictor: the index of the layer that it reads.
        self.reads = description.get("reads")
        self.weight = weight
        self.bias = bias


class Network:
    """Layers, the classifier or a detector's predictors (boxes and scores of each map), size of the input."""

    def __init__(self, folder):
        folder = Path(folder)
        description = json.loads((folder / "network.json").read_text())
        tensors = read_safetensors(folder / "network.safetensors")
        self.height, self.width = description["size"]
        self.layers, self.predictors = (
            [
                Layer(layer, tensors[f"{layer['name']}.weight"], tensors[f"{layer['name']}.bias"])
                for layer in description[part]
            ]
            for part in ("layers", "predictors")
        )
        self.logits_weight = tensors.get("logits.weight")
        self.logits_bias = tensors.get("logits.bias")
        # [1, height, width, 3]
        self.image = read_safetensors(folder / "image.safetensors")["image"]

    def joined(self):
        """Of a detector: the predictors of the boxes with the values of a box, and those of the scores."""
        boxes, scores = self.predictors[::2], self.predictors[1::2]
        columns = scores[0].output[2] * 4 // boxes[0].output[2]
        return [("boxes", boxes, 4), ("scores", scores, columns)]

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

"""Deterministic tensors and the writer of the golden files.

Weights and inputs follow from their names alone, so a test in any language can
make them again and only the results have to be stored. See README.md.
"""

import json
import math
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent
BATCH = 2
SAMPLES = 1009

# Alpha of the small weight files: the whole folder has to stay small.
TINY_ALPHA = 0.03125

# Layer widths at alpha 1 and the stored endpoints.
DEPTHS = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
ENDPOINTS = [
    "Conv2d_1_depthwise",
    "Conv2d_2_depthwise",
    "Conv2d_6_pointwise",
    "Conv2d_11_depthwise",
    "Conv2d_13_pointwise",
]


def random_bits(name, count):
    """`count` pseudo-random u64: splitmix64 seeded with the FNV-1a hash of the name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode("utf-8"):
        seed = ((seed ^ byte) * 0x100000001B3) % 2**64
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = z + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(name, shape):
    """f64 values in [-1, 1), multiples of 2**-23, in row-major order."""
    bits = random_bits(name, math.prod(shape)) >> np.uint64(40)
    return (bits.astype(np.float64) / 2.0**23 - 1.0).reshape(shape)


def weight(name, shape):
    """The f32 tensor called `name`: convolution and logits weights are OIHW."""
    u = uniform(name, shape)
    if name.endswith("batch_norm.weight"):
        value = 1.0 + 0.3 * u
    elif name.endswith("batch_norm.bias"):
        value = 0.3 + 0.3 * u
    elif name.endswith("running_mean"):
        value = 0.3 * u
    elif name.endswith("running_var"):
        value = 1.0 + 0.5 * u
    elif name.endswith(".bias"):
        value = 0.1 * u
    else:
        value = u * math.sqrt(6.0 / math.prod(shape[1:]))
    return value.astype(np.float32)


def image_batch(height, width):
    """The f32 network input [2, 3, height, width]."""
    return uniform("input", (BATCH, 3, height, width)).astype(np.float32)


def layer_names():
    """The 27 convolutions in order of execution."""
    names = ["Conv2d_0"]
    for block in range(1, 14):
        names += [f"Conv2d_{block}_depthwise", f"Conv2d_{block}_pointwise"]
    return names


def network_weights(alpha, classes, min_depth=8, channel_multiplier=1):
    """All tensors of one network, by name, in order of execution."""
    widths = [max(int(depth * alpha), min_depth) for depth in DEPTHS]
    shapes = {"Conv2d_0": (widths[0], 3, 3, 3)}
    for block in range(1, 14):
        inputs, outputs = widths[block - 1], widths[block]
        wide = inputs * channel_multiplier
        shapes[f"Conv2d_{block}_depthwise"] = (wide, 1, 3, 3)
        shapes[f"Conv2d_{block}_pointwise"] = (outputs, wide, 1, 1)
    weights = {}
    for layer, shape in shapes.items():
        weights[f"{layer}.weight"] = weight(f"{layer}.weight", shape)
        for part in ["weight", "bias", "running_mean", "running_var"]:
            name = f"{layer}.batch_norm.{part}"
            weights[name] = weight(name, shape[:1])
    logits = "Logits.Conv2d_1c_1x1"
    weights[f"{logits}.weight"] = weight(f"{logits}.weight", (classes, widths[-1], 1, 1))
    weights[f"{logits}.bias"] = weight(f"{logits}.bias", (classes,))
    return weights


def save_golden(file_name, framework, alpha, logits, endpoints):
    """Writes logits and a sparse sample of each NCHW endpoint, and prints their ranges."""
    tensors = {"logits": np.ascontiguousarray(logits, dtype=np.float32)}
    metadata = {"framework": framework, "alpha": str(alpha)}
    print(f"{file_name}: logits {logits.shape} in [{logits.min():.3f}, {logits.max():.3f}],", end=" ")
    print(f"std {logits.std():.3f}, largest difference in the batch {abs(logits[0] - logits[1]).max():.3f}")
    for name in ENDPOINTS:
        values = np.ascontiguousarray(endpoints[name], dtype=np.float32)
        step = max(1, -(-values.size // SAMPLES)) | 1
        tensors[name] = values.reshape(-1)[::step].copy()
        metadata[f"shape.{name}"] = ",".join(str(size) for size in values.shape)
        metadata[f"step.{name}"] = str(step)
        zero, six = (values == 0).mean(), (values == 6).mean()
        print(f"  {name} {values.shape} step {step}: {zero:.0%} zero, {six:.0%} six, mean {values.mean():.3f}")
        if zero > 0.95 or six > 0.95:
            raise SystemExit(f"{name} is not alive")
    write(file_name, tensors, metadata)


def write(file_name, tensors, metadata):
    """Writes a safetensors file whose bytes do not change from run to run.

    The official writer orders the metadata at random.
    """
    header, data = {"__metadata__": dict(sorted(metadata.items()))}, b""
    # Wide types first keep every tensor aligned.
    for name, value in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        begin = len(data)
        data += np.ascontiguousarray(value).tobytes()
        dtype = {"float32": "F32", "uint8": "U8"}[value.dtype.name]
        header[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    (FOLDER / file_name).write_bytes(len(text).to_bytes(8, "little") + text + data)

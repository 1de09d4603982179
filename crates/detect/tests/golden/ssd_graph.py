"""An SSD of random weights in TensorFlow, under the variable names of the Object Detection API, and
TensorFlow's own suppression. Writes ssd_graph.safetensors (TensorFlow 2.x, numpy, safetensors).

The weights follow from their names, by the formula of the model's golden files.
"""

import math
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../model/tests/golden"))

import numpy as np
import tensorflow as tf
from formula import DEPTHS, uniform
from safetensors.numpy import load_file, save_file

SIDE, WIDTH, MIN_DEPTH, CLASSES = 160, 0.25, 16, 3
EPSILON = 1e-3
STRIDES = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
EXTRAS = [512, 256, 256, 128]
BODY = "FeatureExtractor/MobilenetV1/"


def depth(channels):
    return max(int(channels * WIDTH), MIN_DEPTH)


def variable(name, shape):
    value = uniform(name, shape)
    if name.endswith("gamma"):
        value = 1 + 0.3 * value
    elif name.endswith("beta"):
        value = 0.3 + 0.3 * value
    elif name.endswith("moving_mean"):
        value = 0.3 * value
    elif name.endswith("moving_variance"):
        value = 1 + 0.5 * value
    elif name.endswith("biases"):
        value = 0.1 * value
    elif name.endswith("depthwise_weights"):
        value = value * math.sqrt(6 / math.prod(shape[:2]))
    else:
        value = value * math.sqrt(6 / math.prod(shape[:3]))
    return value.astype(np.float32)


def layer(x, name, out, kernel, stride, depthwise=False):
    channels = int(x.shape[-1])
    scope = BODY + name
    if depthwise:
        weights = variable(scope + "/depthwise_weights", (kernel, kernel, channels, 1))
        x = tf.nn.depthwise_conv2d(x, weights, [1, stride, stride, 1], "SAME")
    else:
        weights = variable(scope + "/weights", (kernel, kernel, channels, out))
        x = tf.nn.conv2d(x, weights, stride, "SAME")
    norm = {
        part: variable(f"{scope}/BatchNorm/{part}", (int(x.shape[-1]),))
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    x = tf.nn.batch_normalization(
        x, norm["moving_mean"], norm["moving_variance"], norm["beta"], norm["gamma"], EPSILON
    )
    return tf.nn.relu6(x)


def maps(image):
    x = layer(image, "Conv2d_0", depth(DEPTHS[0]), 3, 2)
    found = []
    for block in range(1, 14):
        x = layer(x, f"Conv2d_{block}_depthwise", 0, 3, STRIDES[block], depthwise=True)
        x = layer(x, f"Conv2d_{block}_pointwise", depth(DEPTHS[block]), 1, 1)
        if block in (11, 13):
            found.append(x)
    for number, channels in enumerate(EXTRAS, 2):
        half, whole = depth(channels // 2), depth(channels)
        x = layer(x, f"Conv2d_13_pointwise_1_Conv2d_{number}_1x1_{half}", half, 1, 1)
        x = layer(x, f"Conv2d_13_pointwise_2_Conv2d_{number}_3x3_s2_{whole}", whole, 3, 2)
        found.append(x)
    return found


def network(image):
    joined = [[], []]
    for index, x in enumerate(maps(image)):
        boxes = 3 if index == 0 else 6
        for part, (name, values) in enumerate((("BoxEncodingPredictor", 4), ("ClassPredictor", CLASSES + 1))):
            scope = f"BoxPredictor_{index}/{name}"
            out = boxes * values
            weights = variable(scope + "/weights", (1, 1, int(x.shape[-1]), out))
            head = tf.nn.conv2d(x, weights, 1, "SAME") + variable(scope + "/biases", (out,))
            joined[part].append(tf.reshape(head, (-1, values)))
    encodings, logits = (tf.concat(parts, 0).numpy() for parts in joined)
    return encodings, tf.sigmoid(logits).numpy()


def suppression():
    """NonMaxSuppressionV5 on the boxes of postprocess.safetensors, as corners."""
    made = load_file(os.path.join(HERE, "postprocess.safetensors"))
    anchors, scores = made["anchors"], made["scores_fine"][:, 1].copy()
    corners = np.concatenate([anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], 1)
    saved = {}
    for name, sigma, overlap, score, most in (
        ("hard", 0.0, 0.5, 0.2, 100),
        ("soft", 0.5, 1.0, 0.2, 100),
        ("soft_limited", 0.3, 0.6, 0.3, 20),
    ):
        indices, kept = tf.image.non_max_suppression_with_scores(
            corners, scores, most, iou_threshold=overlap, score_threshold=score, soft_nms_sigma=sigma
        )
        saved[name + ".indices"] = indices.numpy().astype(np.float32)
        saved[name + ".scores"] = kept.numpy()
        print(name, len(indices))
    return saved


def main():
    image = uniform("input", (1, SIDE, SIDE, 3)).astype(np.float32)
    encodings, scores = network(tf.constant(image))
    print(encodings.shape, float(np.abs(encodings).max()), scores.shape, float(scores.min()), float(scores.max()))
    saved = {"encodings": encodings, "scores": scores, **suppression()}
    save_file(saved, os.path.join(HERE, "ssd_graph.safetensors"))


if __name__ == "__main__":
    main()

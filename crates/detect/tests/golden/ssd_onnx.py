"""An SSD of random weights as ONNX, as tf2onnx converts the frozen graphs of the Object Detection API
(the ONNX zoo's ssd_mobilenet_v1_12 was made so), and what ONNX Runtime computes with it.
Writes ssd_onnx.onnx and ssd_onnx.safetensors (TensorFlow 2.21, tf2onnx 1.17, ONNX Runtime 1.32).

The weights are those of ssd_graph.py, of a narrower network. Operations have the API's names, the
image is resized in a loop, suppression is in the graph.
"""

import os

import numpy as np
import onnxruntime
import ssd_graph
import tensorflow as tf
import tf2onnx
from safetensors.numpy import save_file
from ssd_graph import BODY, CLASSES, EPSILON, HERE, SIDE, uniform, variable

tf1 = tf.compat.v1
# Loops as TensorFlow 1 wrote them.
tf1.disable_v2_behavior()
ssd_graph.WIDTH = 1 / 16


def layer(x, name, out, kernel, stride, depthwise=False):
    channels, scope = int(x.shape[-1]), BODY + name
    with tf1.name_scope(f"{BODY}MobilenetV1/{name}/"):
        strides = [1, stride, stride, 1]
        if depthwise:
            weights = tf1.constant(variable(scope + "/depthwise_weights", (kernel, kernel, channels, 1)))
            x = tf1.nn.depthwise_conv2d_native(x, weights, strides, "SAME", name="depthwise")
        else:
            weights = tf1.constant(variable(scope + "/weights", (kernel, kernel, channels, out)))
            x = tf1.nn.conv2d(x, weights, strides, "SAME", name="Conv2D")
        norm = [
            tf1.constant(variable(f"{scope}/BatchNorm/{part}", (int(x.shape[-1]),)))
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        x, *_ = tf1.nn.fused_batch_norm(x, *norm, epsilon=EPSILON, is_training=False, name="BatchNorm/FusedBatchNorm")
        return tf1.nn.relu6(x, name="Relu6")


def reshape(head, values):
    return tf1.reshape(head, tf1.stack([tf1.shape(head)[0], -1, values]))


def head(x, scope, out):
    with tf1.name_scope(scope + "/"):
        weights = tf1.constant(variable(scope + "/weights", (1, 1, int(x.shape[-1]), out)))
        x = tf1.nn.conv2d(x, weights, [1, 1, 1, 1], "SAME", name="Conv2D")
        return tf1.nn.bias_add(x, tf1.constant(variable(scope + "/biases", (out,))), name="BiasAdd")


def anchors(grids):
    """Of the default order: a box of the scale, others of the ratios, the one between two scales last."""
    scales = [0.2 + 0.75 * index / 5 for index in range(6)] + [1.0]
    found = []
    for index, side in enumerate(grids):
        if index == 0:
            sizes = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        else:
            sizes = [(scales[index], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 0.3333)]
            sizes.append(((scales[index] * scales[index + 1]) ** 0.5, 1.0))
        for y in range(side):
            for x in range(side):
                for scale, ratio in sizes:
                    found.append([(y + 0.5) / side, (x + 0.5) / side, scale / ratio**0.5, scale * ratio**0.5])
    return np.array(found, np.float32)


def suppressed(encodings, scores, anchor):
    """Of each class at most 100 boxes, of all the best 100, inside the image."""
    centre = encodings[:, :2] / 10 * anchor[:, 2:] + anchor[:, :2]
    half = tf1.exp(encodings[:, 2:] / 5) * anchor[:, 2:] / 2
    boxes = tf1.concat([centre - half, centre + half], 1)
    found = []
    for index in range(CLASSES):
        kept = tf1.image.non_max_suppression(boxes, scores[:, index + 1], 100, 0.6, 0.3)
        ones = tf1.ones_like(kept, tf.float32)
        found.append((tf1.gather(boxes, kept), tf1.gather(scores[:, index + 1], kept), (index + 1) * ones))
    boxes, scores, classes = (tf1.concat(parts, 0) for parts in zip(*found))
    scores, order = tf1.nn.top_k(scores, tf1.minimum(100, tf1.size(scores)))
    tf1.clip_by_value(tf1.gather(boxes, order), 0, 1, name="detection_boxes")
    tf1.identity(scores, name="detection_scores")
    tf1.identity(tf1.gather(classes, order), name="detection_classes")


def graph():
    with tf1.Graph().as_default() as made:
        image = tf1.placeholder(tf.uint8, [1, None, None, 3], name="image_tensor")
        x = tf1.cast(image, tf.float32)
        with tf1.name_scope("Preprocessor/"):
            x = tf1.map_fn(lambda one: tf1.image.resize_images(one, [SIDE, SIDE]), x, name="map")
            x = tf1.subtract(tf1.multiply(x, 2 / 255), 1.0)
        x.set_shape([1, SIDE, SIDE, 3])
        ssd_graph.layer = layer
        maps = ssd_graph.maps(x)
        joined = [[], []]
        for index, x in enumerate(maps):
            per_cell = 3 if index == 0 else 6
            for part, (name, values) in enumerate((("BoxEncodingPredictor", 4), ("ClassPredictor", CLASSES + 1))):
                joined[part].append(reshape(head(x, f"BoxPredictor_{index}/{name}", per_cell * values), values))
        encodings, logits = (tf1.concat(parts, 1)[0] for parts in joined)
        encodings = tf1.identity(encodings, name="encodings")
        scores = tf1.sigmoid(logits, name="scores")
        suppressed(encodings, scores, anchors([int(x.shape[1]) for x in maps]))
        return made.as_graph_def()


def main():
    path = os.path.join(HERE, "ssd_onnx.onnx")
    names = ["detection_boxes", "detection_scores", "detection_classes", "encodings", "scores"]
    tf2onnx.convert.from_graph_def(
        graph(), input_names=["image_tensor:0"], output_names=[name + ":0" for name in names], opset=12, output_path=path
    )
    image = ((uniform("input", (1, SIDE, SIDE, 3)) + 1) * 127.99).astype(np.uint8)
    found = onnxruntime.InferenceSession(path).run(None, {"image_tensor:0": image})
    for name, values in zip(names, found):
        print(name, values.shape, values.min(), values.max())
    save_file(dict(zip(names, found)), os.path.join(HERE, "ssd_onnx.safetensors"))


main()

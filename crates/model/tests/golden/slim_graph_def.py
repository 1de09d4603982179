"""Frozen TF-slim MobileNetV1 graphs (GraphDef) and their outputs.

slim_tiny.pb        batch norm as arithmetic nodes, with two stray retraining constants
slim_tiny_fused.pb  FusedBatchNormV3 nodes, and two constants kept in float_val
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from formula import ENDPOINTS, FOLDER, TINY_ALPHA, image_batch, layer_names, network_weights, save_golden

FRAMEWORK = f"tensorflow {tf.__version__}"
SIZE = 96
CLASSES = 10
EPSILON = 0.001
OPS = "MobilenetV1/MobilenetV1"
VARIABLES = "MobilenetV1"
LISTED = "Conv2d_3_depthwise/BatchNorm/moving_variance"
FILLED = "Conv2d_3_depthwise/BatchNorm/gamma"
ops = tf.raw_ops


def constant(name, value):
    """A frozen variable: Const and its Identity."""
    value = tf.constant(value, dtype=tf.float32, name=name)
    return ops.Identity(input=value, name=f"{name}/read")


def convolution(x, name, weight, stride, op_name):
    if name.endswith("depthwise"):
        kernel = constant(f"{VARIABLES}/{name}/depthwise_weights", weight.transpose(2, 3, 0, 1))
        return ops.DepthwiseConv2dNative(
            input=x, filter=kernel, strides=[1, stride, stride, 1], padding="SAME", name=f"{OPS}/{name}/depthwise"
        )
    kernel = constant(f"{VARIABLES}/{name}/weights", weight.transpose(2, 3, 1, 0))
    return ops.Conv2D(
        input=x, filter=kernel, strides=[1, stride, stride, 1], padding="SAME", name=f"{OPS}/{name}/{op_name}"
    )


def batch_norm(x, name, weights, fused):
    variables = f"{VARIABLES}/{name}/BatchNorm"
    gamma = constant(f"{variables}/gamma", weights[f"{name}.batch_norm.weight"])
    beta = constant(f"{variables}/beta", weights[f"{name}.batch_norm.bias"])
    mean = constant(f"{variables}/moving_mean", weights[f"{name}.batch_norm.running_mean"])
    variance = constant(f"{variables}/moving_variance", weights[f"{name}.batch_norm.running_var"])
    scope = f"{OPS}/{name}/BatchNorm"
    if fused:
        return ops.FusedBatchNormV3(
            x=x, scale=gamma, offset=beta, mean=mean, variance=variance,
            epsilon=EPSILON, is_training=False, name=f"{scope}/FusedBatchNormV3",
        ).y
    scope = f"{scope}/batchnorm"
    epsilon = tf.constant(EPSILON, name=f"{scope}/add/y")
    rsqrt = ops.Rsqrt(x=ops.Add(x=variance, y=epsilon, name=f"{scope}/add"), name=f"{scope}/Rsqrt")
    factor = ops.Mul(x=rsqrt, y=gamma, name=f"{scope}/mul")
    scaled = ops.Mul(x=x, y=factor, name=f"{scope}/mul_1")
    shift = ops.Sub(x=beta, y=ops.Mul(x=mean, y=factor, name=f"{scope}/mul_2"), name=f"{scope}/sub")
    return ops.Add(x=scaled, y=shift, name=f"{scope}/add_1")


def build(weights, fused):
    op_name = "Conv2D" if fused else "convolution"
    with tf.Graph().as_default():
        x = ops.Placeholder(dtype=tf.float32, shape=[None, SIZE, SIZE, 3], name="input")
        for name in layer_names():
            block = int(name.split("_")[1])
            widens = block in [2, 4, 6, 12] and name.endswith("depthwise")
            x = convolution(x, name, weights[f"{name}.weight"], 2 if block == 0 or widens else 1, op_name)
            x = ops.Relu6(features=batch_norm(x, name, weights, fused), name=f"{OPS}/{name}/Relu6")
        height, width = x.shape[1:3]
        logits = f"{VARIABLES}/Logits"
        x = ops.AvgPool(
            value=x, ksize=[1, min(height, 7), min(width, 7), 1], strides=[1, 2, 2, 1], padding="VALID",
            name=f"{logits}/AvgPool_1a/AvgPool",
        )
        head = "Logits.Conv2d_1c_1x1"
        kernel = constant(f"{logits}/Conv2d_1c_1x1/weights", weights[f"{head}.weight"].transpose(2, 3, 1, 0))
        biases = constant(f"{logits}/Conv2d_1c_1x1/biases", weights[f"{head}.bias"])
        x = ops.Conv2D(
            input=x, filter=kernel, strides=[1, 1, 1, 1], padding="SAME", name=f"{logits}/Conv2d_1c_1x1/{op_name}"
        )
        x = ops.BiasAdd(value=x, bias=biases, name=f"{logits}/Conv2d_1c_1x1/BiasAdd")
        x = ops.Squeeze(input=x, axis=[1, 2], name=f"{logits}/SpatialSqueeze")
        predictions = f"{VARIABLES}/Predictions"
        flat = ops.Reshape(
            tensor=x, shape=tf.constant([-1, CLASSES], name=f"{predictions}/Reshape/shape"),
            name=f"{predictions}/Reshape",
        )
        softmax = ops.Softmax(logits=flat, name=f"{predictions}/Softmax")
        shape = ops.Shape(input=x, name=f"{predictions}/Shape")
        ops.Reshape(tensor=softmax, shape=shape, name=f"{predictions}/Reshape_1")
        if not fused:
            tf.constant(np.full([64, 3], 0.5, np.float32), name="final_training_ops/weights/final_weights")
            tf.constant(np.full([3], 0.25, np.float32), name="final_training_ops/biases/final_biases")
        graph_def = tf.compat.v1.train.export_meta_graph(strip_default_attrs=True).graph_def
    for node in graph_def.node:
        node.attr.pop("_output_shapes", None)
    return graph_def


def keep_in_float_val(graph_def, name, count):
    """Moves the first `count` values of a Const from raw bytes to float_val."""
    node = next(node for node in graph_def.node if node.name == f"{VARIABLES}/{name}")
    tensor = node.attr["value"].tensor
    values = tf.make_ndarray(tensor).reshape(-1)[:count]
    tensor.ClearField("tensor_content")
    del tensor.float_val[:]
    tensor.float_val.extend(values.tolist())


def golden(graph_file, file_name):
    graph_def = tf.compat.v1.GraphDef.FromString((FOLDER / graph_file).read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    names = ["MobilenetV1/Logits/SpatialSqueeze:0", "MobilenetV1/Predictions/Reshape_1:0"]
    names += [f"{OPS}/{name}/Relu6:0" for name in ENDPOINTS]
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    with tf.compat.v1.Session(graph=graph, config=config) as session:
        images = image_batch(SIZE, SIZE).transpose(0, 2, 3, 1)
        logits, probabilities, *activations = session.run(names, {"input:0": images})
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert np.allclose(probabilities, exponents / exponents.sum(axis=1, keepdims=True), atol=1e-5)
    activations = [activation.transpose(0, 3, 1, 2) for activation in activations]
    save_golden(file_name, FRAMEWORK, TINY_ALPHA, logits, dict(zip(ENDPOINTS, activations, strict=True)))


def main():
    weights = network_weights(TINY_ALPHA, CLASSES)
    (FOLDER / "slim_tiny.pb").write_bytes(build(weights, fused=False).SerializeToString(deterministic=True))
    golden("slim_tiny.pb", "slim_tiny_96x96.safetensors")

    # One fill value stands for the whole gamma, so it is 1 in every channel here.
    gamma = weights["Conv2d_3_depthwise.batch_norm.weight"]
    gamma.fill(1.0)
    graph_def = build(weights, fused=True)
    keep_in_float_val(graph_def, LISTED, gamma.size)
    keep_in_float_val(graph_def, FILLED, 1)
    (FOLDER / "slim_tiny_fused.pb").write_bytes(graph_def.SerializeToString(deterministic=True))
    golden("slim_tiny_fused.pb", "slim_tiny_fused_96x96.safetensors")


if __name__ == "__main__":
    main()

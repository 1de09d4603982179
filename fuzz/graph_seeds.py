"""Seeds of the fuzz targets whose formats describe a network: Keras, TFLite and ONNX. Beside
`seeds.py`, because that one needs TensorFlow without its second version's behaviour."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import onnx
import tensorflow as tf
from keras import layers
from onnx import TensorProto, helper, numpy_helper

CORPUS = Path(__file__).resolve().parent / "corpus"
RANDOM = np.random.RandomState(0)


def put(name, data):
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def keras_and_tflite():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((8, 8, 1)),
        layers.Conv2D(2, 3, strides=2, padding="same", use_bias=False, name="conv1"),
        layers.BatchNormalization(name="conv1_bn"),
        layers.ReLU(6.0),
        layers.DepthwiseConv2D(3, padding="same", use_bias=False),
    ])
    with tempfile.TemporaryDirectory() as folder:
        for file, name in [("a.h5", "keras_h5/whole"), ("a.weights.h5", "keras_h5/weights"), ("a.keras", "keras/whole")]:
            save = model.save_weights if "weights" in file else model.save
            save(Path(folder) / file)
            put(name, (Path(folder) / file).read_bytes())
    for name, half in [("tflite/float", False), ("tflite/half", True)]:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        put(name, converter.convert())


def tensor(name, *shape):
    return numpy_helper.from_array((np.abs(RANDOM.randn(*shape)) + 0.1).astype(np.float32), name)


def onnx_graph():
    pads = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv", strides=[2, 2], **pads),
        helper.make_node("BatchNormalization", ["a", "g", "b", "m", "v"], ["c"], name="bn", epsilon=0.001),
        helper.make_node("Clip", ["c", "low", "high"], ["d"], name="relu6"),
        helper.make_node("Conv", ["d", "dw"], ["y"], name="dw", group=2, **pads),
    ]
    constants = [tensor("w", 2, 1, 3, 3), *(tensor(name, 2) for name in "gbmv"), tensor("dw", 2, 1, 3, 3)]
    constants += [numpy_helper.from_array(np.float32(value), name) for name, value in [("low", 0), ("high", 6)]]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 4, 4])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    put("onnx/conv", model.SerializeToString())
    # A divisor that a file may hold, and once made the reader panic.
    [group] = [attribute for attribute in model.graph.node[3].attribute if attribute.name == "group"]
    group.i = 0
    put("onnx/zero_groups", model.SerializeToString())


if __name__ == "__main__":
    keras_and_tflite()
    onnx_graph()

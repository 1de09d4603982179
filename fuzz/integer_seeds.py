"""Seeds of networks of integers: ONNX with QDQ nodes and with operators on integers, our own
safetensors, and TFLite (a golden file of the model's tests). Only ONNX and NumPy are needed."""

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

CORPUS = Path(__file__).resolve().parent / "corpus"
RANDOM = np.random.RandomState(1)


def put(name, data):
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


CONSTANTS = {
    "s": np.float32(0.05),
    "z": np.uint8(3),
    "w": RANDOM.randint(-127, 127, (4, 2, 3, 3)).astype(np.int8),
    "ws": np.array([0.01, 0.02, 0.03, 0.04], np.float32),
    "wz": np.zeros(4, np.int8),
    "b": np.arange(4, dtype=np.int32),
    "bs": np.float32(0.05) * np.array([0.01, 0.02, 0.03, 0.04], np.float32),
    "d": RANDOM.randint(0, 255, (5, 4)).astype(np.uint8),
    "e": np.arange(5, dtype=np.int32),
    "ds": np.float32(0.02),
    "dz": np.uint8(120),
}


def onnx(name, nodes):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(op, inputs.split(), [output], **attributes) for op, inputs, output, attributes in nodes],
        "network",
        [info("x", TensorProto.FLOAT, [1, 2, 9, 9])],
        [info("y", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in CONSTANTS.items()],
    )
    put(name, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString())


def safetensors(name):
    layer = {
        "name": "a",
        "operation": {
            "convolution": {
                "depthwise": False,
                "window": {"kernel": [3, 3], "stride": 1, "dilation": 1, "padding": "same"},
                "activation": "relu6",
                "fully_connected": False,
            }
        },
        "output": {"u8": 3},
    }
    network = {"arithmetic": "xnnpack", "input_shape": [9, 9, 2], "input": {"u8": 128}, "layers": [layer]}
    tensors = {
        "a.weight": CONSTANTS["w"],
        "a.weight.scale": CONSTANTS["ws"],
        "a.weight.zero_point": np.zeros(4, np.int32),
        "a.bias": CONSTANTS["b"],
        "a.bias.scale": CONSTANTS["bs"],
        "a.bias.zero_point": np.zeros(4, np.int32),
        "activations.scale": np.array([0.05, 0.05], np.float32),
    }
    header, data = {"__metadata__": {"integer_network": json.dumps(network)}}, b""
    for key, values in tensors.items():
        dtype = {"int8": "I8", "int32": "I32", "float32": "F32"}[str(values.dtype)]
        start, data = len(data), data + values.tobytes()
        header[key] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [start, len(data)]}
    header = json.dumps(header, separators=(",", ":")).encode()
    put(name, struct.pack("<Q", len(header)) + header + data)


window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
onnx(
    "onnx/integer_nodes",
    [
        ("QuantizeLinear", "x s z", "x8", {}),
        ("DequantizeLinear", "x8 s z", "xf", {}),
        ("DequantizeLinear", "w ws wz", "wf", {"axis": 0}),
        ("DequantizeLinear", "b bs", "bf", {"axis": 0}),
        ("Conv", "xf wf bf", "c", window),
        ("Relu", "c", "r", {}),
        ("QuantizeLinear", "r s z", "c8", {}),
        ("DequantizeLinear", "c8 s z", "cf", {}),
        ("GlobalAveragePool", "cf", "p", {}),
        ("QuantizeLinear", "p s z", "p8", {}),
        ("DequantizeLinear", "p8 s z", "pf", {}),
        ("Flatten", "pf", "f", {}),
        ("DequantizeLinear", "d ds dz", "df", {}),
        ("Gemm", "f df", "g", {"transB": 1}),
        ("QuantizeLinear", "g s z", "g8", {}),
        ("DequantizeLinear", "g8 s z", "y", {}),
    ],
)
onnx(
    "onnx/integer_operators",
    [
        ("QuantizeLinear", "x s z", "x8", {}),
        ("QLinearConv", "x8 s z w ws wz s z b", "c8", window),
        ("QLinearGlobalAveragePool", "c8 s z s z", "p8", {"domain": "com.microsoft"}),
        ("Flatten", "p8", "f8", {}),
        ("QGemm", "f8 s z d ds dz e s z", "g8", {"transB": 1, "domain": "com.microsoft"}),
        ("DequantizeLinear", "g8 s z", "y", {}),
    ],
)
safetensors("safetensors/integers")
golden = CORPUS.parents[1] / "crates/model/tests/golden/integer_files.zip"
put("tflite/integers", zipfile.ZipFile(golden).read("signed_dense_per_channel.tflite"))

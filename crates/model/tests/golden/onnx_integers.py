"""Quantised ONNX files as ONNX Runtime's quantiser writes them, and what ONNX Runtime makes of them.

A network of random weights whose layers are MobileNetV1's; `onnx_integers.zip` has a file for each
kind of quantisation and, as raw f32, its answers for 32 images of pattern bytes / 127.5 - 1.
"""

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from formula import FOLDER, uniform

SIZE, CLASSES, ALPHA = 64, 10, 1 / 16
DEPTHS = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
STRIDES = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]


IMAGES = 32


def pattern(image):
    index = np.arange(SIZE * SIZE * 3, dtype=np.uint64) + image * SIZE * SIZE * 3
    bytes = ((index * 2654435761) % 2**32) >> 24
    image = bytes.astype(np.float32).reshape(1, SIZE, SIZE, 3) / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(image.transpose(0, 3, 1, 2))


def float_model(path, softmax):
    nodes, constants = [], []
    last = "input"

    def constant(name, values):
        constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def node(kind, name, *more, **attributes):
        nonlocal last
        nodes.append(helper.make_node(kind, [last, *more], [name], name, **attributes))
        last = name

    def conv(name, shape, stride, groups):
        fan_in = np.prod(shape[1:])
        weight = constant(f"{name}.weight", uniform(name, shape) * np.sqrt(6 / fan_in))
        bias = constant(f"{name}.bias", uniform(f"{name}.bias", shape[:1]) / 4 + 0.25)
        k = shape[2]
        pads = [k // 2] * 4
        node("Conv", name, weight, bias, kernel_shape=[k, k], strides=[stride] * 2, pads=pads, group=groups)
        node("Clip", f"{name}.relu6", "zero", "six")

    constant("zero", 0.0)
    constant("six", 6.0)
    depths = [int(d * ALPHA) for d in DEPTHS]
    conv("c0", [depths[0], 3, 3, 3], 2, 1)
    for i, (before, after) in enumerate(zip(depths, depths[1:]), 1):
        conv(f"d{i}", [before, 1, 3, 3], STRIDES[i], before)
        conv(f"p{i}", [after, before, 1, 1], 1, 1)
    node("GlobalAveragePool", "pool")
    node("Flatten", "flat")
    weight = constant("fc.weight", uniform("fc", [CLASSES, depths[-1]]) * np.sqrt(6 / depths[-1]))
    node("Gemm", "logits", weight, constant("fc.bias", uniform("fc.bias", [CLASSES])), transB=1)
    if softmax:
        node("Softmax", "probabilities", axis=1)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "network",
        [info("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [info(last, TensorProto.FLOAT, [1, CLASSES])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


class Images(CalibrationDataReader):
    def __init__(self):
        images = [np.clip(uniform(f"image {i}", [1, 3, SIZE, SIZE]) * 1.2, -1, 1) for i in range(8)]
        self.images = iter([*images, pattern(0)])

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"input": image.astype(np.float32)}


KINDS = {
    # name: format, activations, weights, per channel, with softmax
    "qdq_u8s8_channel": (QuantFormat.QDQ, QuantType.QUInt8, QuantType.QInt8, True, False),
    "qdq_s8s8_channel": (QuantFormat.QDQ, QuantType.QInt8, QuantType.QInt8, True, False),
    "qdq_u8u8_softmax": (QuantFormat.QDQ, QuantType.QUInt8, QuantType.QUInt8, False, True),
    "operators_u8s8_channel": (QuantFormat.QOperator, QuantType.QUInt8, QuantType.QInt8, True, False),
    "operators_u8u8": (QuantFormat.QOperator, QuantType.QUInt8, QuantType.QUInt8, False, False),
    "operators_s8s8_softmax": (QuantFormat.QOperator, QuantType.QInt8, QuantType.QInt8, False, True),
}


def main():
    archive = zipfile.ZipFile(FOLDER / "onnx_integers.zip", "w", zipfile.ZIP_DEFLATED)
    with tempfile.TemporaryDirectory() as folder, archive:
        folder = Path(folder)
        for name, (format, activations, weights, per_channel, softmax) in KINDS.items():
            float_model(folder / "float.onnx", softmax)
            path = folder / f"{name}.onnx"
            quantize_static(
                folder / "float.onnx",
                path,
                Images(),
                quant_format=format,
                activation_type=activations,
                weight_type=weights,
                per_channel=per_channel,
                # 8 bits of u8 * s8 saturate in ONNX Runtime on AVX2.
                reduce_range=activations == QuantType.QUInt8 and weights == QuantType.QInt8,
            )
            print(name, sorted({node.op_type for node in onnx.load(path).graph.node}))
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            answers = [session.run(None, {"input": pattern(i)})[0] for i in range(IMAGES)]
            answers = np.concatenate(answers)
            for entry, bytes in [
                (f"{name}.onnx", path.read_bytes()),
                (f"{name}.f32", answers.astype("<f4").tobytes()),
            ]:
                # A fixed date, so that the same files give the same archive.
                archive.writestr(zipfile.ZipInfo(entry, (1980, 1, 1, 0, 0, 0)), bytes, zipfile.ZIP_DEFLATED)


main()

"""Our files of integers in LiteRT and ONNX Runtime, against our own integers, layer by layer.

LiteRT gives the same bits: its default kernels (XNNPACK) those of our default arithmetic, its
reference kernels those of `reference`. ONNX Runtime's logits are within one step of ours.

    cargo test -p mobilenet-model --test model -- --ignored integers_for_other_engines
    python integer_export.py <folder that the test names>
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from ai_edge_litert.interpreter import Interpreter, OpResolverType

FAMILIES = {
    "Xnnpack": OpResolverType.AUTO,
    "Reference": OpResolverType.BUILTIN_REF,
}


def litert(path, family):
    """Number of values, and of those that differ."""
    interpreter = Interpreter(
        str(path),
        experimental_op_resolver_type=FAMILIES[family],
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    [input] = interpreter.get_input_details()
    image = np.fromfile(path.with_suffix(".image"), input["dtype"]).reshape(input["shape"])
    interpreter.set_tensor(input["index"], image)
    interpreter.invoke()
    values = wrong = layers = 0
    for tensor in interpreter.get_tensor_details():
        expected = path.with_name(f"{path.stem}.{family}.{tensor['name']}")
        if expected.exists():
            found = interpreter.get_tensor(tensor["index"]).flatten()
            expected = np.fromfile(expected, tensor["dtype"])
            assert found.shape == expected.shape, tensor["name"]
            values += found.size
            wrong += (found != expected).sum()
            layers += 1
    assert layers == len(list(path.parent.glob(f"{path.stem}.{family}.*")))
    return values, wrong


def onnx_runtime(path):
    """The largest difference of the output in steps of its scale."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    quantizers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    first, last = ([constants[name] for name in quantizers[i].input[1:]] for i in (0, -1))
    [rows, columns] = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[2:]]
    channels = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    raw = path.with_suffix(".image").read_bytes()
    if len(raw) == 4 * rows * columns * channels:
        image = np.frombuffer(raw, np.float32)
    else:
        scale, zero = first
        image = (np.frombuffer(raw, zero.dtype).astype(np.float32) - np.float32(zero)) * scale
    image = image.reshape(1, rows, columns, channels).transpose(0, 3, 1, 2)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"pixels": np.ascontiguousarray(image)})
    scale, zero = last
    output = model.graph.output[0].name
    expected = np.fromfile(path.with_name(f"{path.stem}.Xnnpack.{output}"), zero.dtype)
    return np.abs(np.rint(found.flatten() / scale) + np.float32(zero) - expected).max()


def main():
    folder = Path(sys.argv[1])
    print(f"onnxruntime {onnxruntime.__version__}")
    for path in sorted(folder.glob("*.tflite")):
        for family in FAMILIES:
            values, wrong = litert(path, family)
            print(f"{path.name}, {family}: {wrong} of {values} values differ")
            assert wrong == 0
    for path in sorted(folder.glob("*.onnx")):
        steps = onnx_runtime(path)
        print(f"{path.name}: {steps:.0f} steps")
        assert steps <= 1


if __name__ == "__main__":
    main()

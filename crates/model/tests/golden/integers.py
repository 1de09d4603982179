#!/usr/bin/env python3
"""What LiteRT computes from the quantised files of tflite_files.zip, layer by layer.

Writes integers.txt: file, family, and the hash of every layer's output, in the file's order. A hash is
the first 8 digits of the SHA-256 of its bytes. The input's byte i is (i * 2654435761 mod 2^32) >> 24,
read as the input's type; as a number it is that byte / 127.5 - 1. The families are `reference` (BUILTIN_REF) and `xnnpack` (the default).
Layers that move data only (RESHAPE, SHAPE, ...) are left out.

    pip install ai-edge-litert==2.3.0 numpy
    python integers.py
"""
import hashlib
import io
import pathlib
import zipfile

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

FOLDER = pathlib.Path(__file__).parent
FAMILIES = {"reference": OpResolverType.BUILTIN_REF, "xnnpack": OpResolverType.AUTO}
COMPUTING = {1, 3, 4, 9, 25, 40}  # AVERAGE_POOL_2D, CONV_2D, DEPTHWISE, FULLY_CONNECTED, SOFTMAX, MEAN


def with_all_outputs(content):
    """The same model, with the output of every computing operator as an output of the graph."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    code = lambda operator: model.operatorCodes[operator.opcodeIndex]
    number = lambda operator: max(code(operator).builtinCode, code(operator).deprecatedBuiltinCode)
    outputs = [int(o.outputs[0]) for o in graph.operators if number(o) in COMPUTING]
    graph.outputs = np.array(outputs, np.int32)
    model.signatureDefs = []
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), outputs


def run(content, family):
    content, outputs = with_all_outputs(content)
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=FAMILIES[family])
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    count = np.arange(np.prod(given["shape"]), dtype=np.uint64)
    pattern = ((count * 2654435761) % 2**32 >> 24).astype(np.uint8)
    if given["dtype"] == np.float32:
        values = pattern.astype(np.float32) / np.float32(127.5) - np.float32(1)
    else:
        values = pattern.view(given["dtype"])
    interpreter.set_tensor(given["index"], values.reshape(given["shape"]))
    interpreter.invoke()
    details = interpreter.get_output_details()
    return [interpreter.get_tensor(details[i]["index"]) for i in range(len(outputs))]


def main():
    lines = []
    for archive in ["tflite_files.zip", "integer_files.zip"]:
        path = FOLDER / archive
        if not path.exists():
            continue
        files = zipfile.ZipFile(path)
        for name in files.namelist():
            if name.startswith("float"):
                continue
            for family in FAMILIES:
                layers = run(files.read(name), family)
                hashes = [hashlib.sha256(layer.tobytes()).hexdigest()[:8] for layer in layers]
                lines.append(" ".join([archive, name, family] + hashes))
    (FOLDER / "integers.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""Our TFLite files in LiteRT, with its default kernels (XNNPACK) and its reference kernels, against
the logits of the frameworks that the weights come from, and against our own answers.

    cargo test -p mobilenet-model --test model -- --ignored tflite_for_the_interpreter
    python tflite_export.py <folder that the test names>
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from formula import FOLDER, image_batch


def golden(name):
    data = (FOLDER / name).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    begin, end = header["logits"]["data_offsets"]
    values = np.frombuffer(data[8 + length + begin : 8 + length + end], np.float32)
    return values.reshape(header["logits"]["shape"])


def run(path, images, resolver):
    interpreter = Interpreter(
        str(path),
        experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    tensors = {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
    [output] = interpreter.get_output_details()
    answers = []
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        if output["name"] == "Predictions":
            logits = interpreter.get_tensor(tensors["logits"])[0]
            exps = np.exp(logits - logits.max())
            found = interpreter.get_tensor(output["index"])[0]
            assert np.abs(found - exps / exps.sum()).max() < 1e-6
            answers.append(logits)
        else:
            assert output["name"] == "features"
            answers.append(interpreter.get_tensor(output["index"])[0])
    return np.stack(answers)


def waves(path):
    shape = Interpreter(str(path)).get_input_details()[0]["shape"]
    indices = np.arange(np.prod(shape), dtype=np.float32)
    return np.sin(indices * np.float32(0.37)).reshape(shape)


def main():
    paths = sorted(Path(sys.argv[1]).glob("*.tflite"))
    assert len(paths) == 10, paths
    for path in paths:
        answer = path.with_suffix(".answer")
        if answer.exists():
            images, expected = waves(path), np.fromfile(answer, np.float32)[None]
        else:
            images = np.ascontiguousarray(image_batch(96, 96).transpose(0, 2, 3, 1))
            expected = golden(f"{path.stem}_96x96.safetensors")
        for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_REF):
            found = run(path, images, resolver)
            error = np.abs(found - expected).max() / np.abs(expected).max()
            print(f"{path.name}, {resolver.name}: {error:.1e}")
            assert error < 1e-4


if __name__ == "__main__":
    main()

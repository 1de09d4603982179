"""Our ONNX files in ONNX's checker and ONNX Runtime, against the logits of the frameworks that the
weights come from.

    cargo test -p mobilenet-model --test model -- --ignored onnx_for_the_runtime
    python onnx_export.py <folder that the test names>
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from formula import FOLDER, image_batch


def golden(name):
    data = (FOLDER / name).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    begin, end = header["logits"]["data_offsets"]
    values = np.frombuffer(data[8 + length + begin : 8 + length + end], np.float32)
    return values.reshape(header["logits"]["shape"])


def main():
    print(f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}")
    images = image_batch(96, 96)
    paths = sorted(Path(sys.argv[1]).glob("*.onnx"))
    assert len(paths) == 8, paths
    for path in paths:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        normalised = any(node.op_type == "BatchNormalization" for node in model.graph.node)
        assert normalised != ("_folded" in path.stem)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        [logits] = session.run(["logits"], {"pixels": images})
        expected = golden(f"{path.stem.replace('_folded', '')}_96x96.safetensors")
        error = np.abs(logits - expected).max() / np.abs(expected).max()
        print(f"{path.name}: {len(model.graph.node)} nodes, {error:.1e}")
        assert error < 1e-4


if __name__ == "__main__":
    main()

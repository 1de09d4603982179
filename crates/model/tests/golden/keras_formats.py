"""Keras' MobileNet as a SavedModel of TensorFlow 2, and in the layout of TensorFlow.js.

keras_saved_model/  variables under paths of Python objects, their own names in the object graph
tfjs/               model.json and shards of three groups: f32, 8 bits, 16 bits and half precision
keras_64x64         logits of both; epsilon of the SavedModel is 0.002

The SavedModel is cut to what the file says of batch normalisation: Keras' graph takes 0.6 MB.
The folder tfjs/ is written here after the documented format (tensorflowjs itself does not install
beside TensorFlow 2.21); its logits are those of Keras with the weights that the file means.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "0"

import json
import shutil

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from formula import FOLDER, TINY_ALPHA, image_batch, write
from keras_model import FRAMEWORK, build

SIZE = 64
SHARD = 6000


def saved_model(model):
    folder = FOLDER / "keras_saved_model"
    shutil.rmtree(folder, ignore_errors=True)
    tf.saved_model.save(model, str(folder))
    file = folder / "saved_model.pb"
    whole = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    cut = saved_model_pb2.SavedModel(saved_model_schema_version=whole.saved_model_schema_version)
    library = cut.meta_graphs.add().graph_def.library
    source = whole.meta_graphs[0].graph_def
    cut.meta_graphs[0].graph_def.node.extend(node for node in source.node if node.op == "NoOp")
    for function in source.library.function:
        kept = [node for node in function.node_def if node.name.endswith("/batchnorm/add/y")]
        if kept:
            copy = library.function.add()
            copy.signature.CopyFrom(function.signature)
            for node in kept:
                node.attr.pop("_output_shapes", None)
            copy.node_def.extend(kept)
            break
    file.write_bytes(cut.SerializeToString(deterministic=True))
    shutil.rmtree(folder / "assets", ignore_errors=True)
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def quantised(values, levels):
    """TensorFlow.js' affine quantisation: the bytes, their description, and what they mean."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = (high - low) / levels if high > low else 1.0
    # Zero is one of the values.
    low = -round(-low / scale) * scale
    dtype = np.uint8 if levels < 256 else np.uint16
    q = np.clip(np.round((values - low) / scale), 0, levels).astype(dtype)
    entry = {"dtype": q.dtype.name, "scale": scale, "min": low, "original_dtype": "float32"}
    return q.tobytes(), entry, (q.astype(np.float64) * scale + low).astype(np.float32)


def tfjs(model):
    """Writes the folder and gives the model the weights that it means."""
    folder = FOLDER / "tfjs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    groups = [[], [], []]
    for index, layer in enumerate(layer for layer in model.layers if layer.weights):
        kind = ["float32", "uint8", "uint16", "float16"][index % 4] if index else "float32"
        meant = []
        for variable in layer.weights:
            name = variable.name
            if name == "kernel" and "_dw_" in layer.name:
                # As the versions of Keras that TensorFlow.js reads call it.
                name = "depthwise_kernel"
            values = variable.numpy()
            entry = {"name": f"{layer.name}/{name}", "shape": list(values.shape), "dtype": "float32"}
            data = values.tobytes()
            if kind == "float16":
                data = values.astype(np.float16).tobytes()
                entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
                values = values.astype(np.float16).astype(np.float32)
            elif kind != "float32":
                data, entry["quantization"], values = quantised(values, 255 if kind == "uint8" else 65535)
            meant.append(values)
            groups[index % 3].append((entry, data))
        layer.set_weights(meant)
    manifest = []
    for number, group in enumerate(groups, 1):
        data = b"".join(data for _, data in group)
        count = -(-len(data) // SHARD)
        paths = [f"group{number}-shard{shard + 1}of{count}.bin" for shard in range(count)]
        for shard, path in enumerate(paths):
            (folder / path).write_bytes(data[shard * SHARD : (shard + 1) * SHARD])
        manifest.append({"paths": paths, "weights": [entry for entry, _ in group]})
    document = {
        "format": "layers-model",
        "generatedBy": "keras_formats.py",
        "modelTopology": {"note": "not needed to read the weights"},
        "weightsManifest": manifest,
    }
    (folder / "model.json").write_text(json.dumps(document, separators=(",", ":")))


def set_epsilon(model, epsilon):
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.epsilon = epsilon


def main():
    model = build(TINY_ALPHA, 10, SIZE, SIZE)
    images = image_batch(SIZE, SIZE).transpose(0, 2, 3, 1)
    set_epsilon(model, 0.002)
    results = {"logits": model(images, training=False).numpy()}
    saved_model(model)
    set_epsilon(model, 0.001)
    tfjs(model)
    results["logits_of_tfjs"] = model(images, training=False).numpy()
    for name, values in results.items():
        print(name, values.round(3).tolist()[0])
    write("keras_64x64.safetensors", results, {"framework": FRAMEWORK, "alpha": str(TINY_ALPHA)})


if __name__ == "__main__":
    main()

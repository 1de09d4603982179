"""Keras' MobileNet as a SavedModel of TensorFlow 2, and in the layout of TensorFlow.js.

keras_saved_model/  variables under paths of Python objects, their own names in the object graph
tfjs/               model.json and shards of three groups: f32, 8 bits, 16 bits and half precision
keras_64x64         logits of both; epsilon of the SavedModel is 0.002

The SavedModel is cut to what the file says of batch normalisation: Keras' graph takes 0.6 MB.
The folder tfjs/ is written by tensorflowjs' own writer, in the layout of its converter for Keras;
its logits are those of Keras with the weights that tensorflowjs' own reader finds in it. The
package is installed by `pip install --no-deps tensorflowjs==4.22.0`.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "0"

import json
import shutil
import sys
import types
from importlib import import_module
from importlib.util import find_spec

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


def tensorflowjs():
    """The package without its `__init__`, which imports packages that do not install beside
    TensorFlow 2.21; its readers and writers of weights need only NumPy."""
    package = types.ModuleType("tensorflowjs")
    package.__path__ = list(find_spec("tensorflowjs").submodule_search_locations)
    sys.modules["tensorflowjs"] = package
    return import_module("tensorflowjs.write_weights"), import_module("tensorflowjs.read_weights")


def tfjs(model):
    """Writes the folder and gives the model the weights that its reader finds in it."""
    writer, reader = tensorflowjs()
    folder = FOLDER / "tfjs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    groups, quantized = [[], [], []], {"uint8": [], "uint16": [], "float16": []}
    owners = [layer for layer in model.layers if layer.weights]
    for index, layer in enumerate(owners):
        kind = ["float32", "uint8", "uint16", "float16"][index % 4] if index else "float32"
        for variable in layer.weights:
            # As the versions of Keras that TensorFlow.js reads call it.
            depthwise = variable.name == "kernel" and "_dw_" in layer.name
            name = f"{layer.name}/{'depthwise_kernel' if depthwise else variable.name}"
            groups[index % 3].append({"name": name, "data": variable.numpy()})
            if kind != "float32":
                quantized[kind].append(name)
    manifest = writer.write_weights(
        groups, str(folder), shard_size_bytes=SHARD, write_manifest=False, quantization_dtype_map=quantized
    )
    document = {
        "format": "layers-model",
        "generatedBy": "keras_formats.py",
        "modelTopology": {"note": "not needed to read the weights"},
        "weightsManifest": manifest,
    }
    (folder / "model.json").write_text(json.dumps(document, separators=(",", ":")))
    entries = reader.read_weights(manifest, str(folder), flatten=True)
    for layer in owners:
        layer.set_weights([entry["data"] for entry in entries if entry["name"].rpartition("/")[0] == layer.name])


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

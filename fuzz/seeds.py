"""Seeds of the fuzz targets: the smallest files that the frameworks write, a folder a reader, and in
siblings/ what belongs to them. The readers are told that the file is called `file`. The seeds of
Keras, TFLite and ONNX are made by `graph_seeds.py`."""

import json
import os
import shutil
import struct
import zlib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import torch
import numpy as np
import safetensors.numpy
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

CORPUS = Path(__file__).resolve().parent / "corpus"
v1 = tf.compat.v1
v1.disable_v2_behavior()
KERNEL = (np.arange(6, dtype=np.float32) / 4 - 1).reshape(1, 2, 3)
BIAS = np.array([0.5, -2.0], dtype=np.float32)


def put(name, data):
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def checkpoint(version, partitioned):
    folder = CORPUS / "scratch"
    with tf.Graph().as_default(), v1.Session() as session:
        partitioner = v1.fixed_size_partitioner(2, axis=2) if partitioned else None
        initializer = v1.random_uniform_initializer(-1, 1, seed=1)
        v1.get_variable(
            "a/weights", KERNEL.shape, initializer=initializer, partitioner=partitioner, use_resource=False
        )
        v1.get_variable("a/biases", initializer=BIAS, use_resource=False)
        v1.train.get_or_create_global_step()
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(write_version=version, save_relative_paths=True)
        saver.save(session, str(folder / "file"), write_meta_graph=False, write_state=False)
    return folder


def tensorflow():
    put("checkpoint/v1", (checkpoint(v1.train.SaverDef.V1, False) / "file").read_bytes())
    put("checkpoint/v1_partitioned", (checkpoint(v1.train.SaverDef.V1, True) / "file").read_bytes())
    # Both data files are called the same, so only one of the two finds its own.
    folder = checkpoint(v1.train.SaverDef.V2, True)
    put("checkpoint/v2_partitioned", (folder / "file.index").read_bytes())
    put("siblings/file.data-00000-of-00001", (folder / "file.data-00000-of-00001").read_bytes())
    put("siblings/variables/variables.index", (folder / "file.index").read_bytes())
    put("siblings/variables/variables.data-00000-of-00001", (folder / "file.data-00000-of-00001").read_bytes())
    module = tf.train.Checkpoint(kernel=tf.Variable(KERNEL, name="a/kernel", use_resource=True))
    with v1.Session().as_default() as session:
        session.run(v1.global_variables_initializer())
        path = module.save(str(folder / "objects"))
    put("checkpoint/v2_objects", Path(f"{path}.index").read_bytes())
    with tf.Graph().as_default() as graph:
        x = tf.constant(KERNEL.reshape(1, 1, 2, 3), name="a/weights")
        tf.constant([0.001], name="a/BatchNorm/batchnorm/add/y")
        tf.fill([2, 2], 7)
        half = tf.constant(np.array([1, 2], np.float16), name="half")
        tf.raw_ops.FusedBatchNormV3(
            x=x, scale=BIAS[[0, 1, 1]], offset=BIAS[[0, 1, 1]], mean=BIAS[[0, 1, 1]], variance=BIAS[[0, 0, 0]],
            epsilon=0.002, is_training=False, name="a/BatchNorm/FusedBatchNormV3",
        )
        graph_def = graph.as_graph_def()
    node = next(node for node in graph_def.node if node.name == "half")
    node.attr["value"].tensor.ClearField("tensor_content")
    del node.attr["value"].tensor.half_val[:]
    node.attr["value"].tensor.half_val.extend([15360, 16384])
    put("graph_def/nodes", graph_def.SerializeToString(deterministic=True))
    model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta_graph = model.meta_graphs.add()
    meta_graph.graph_def.node.extend(node for node in graph_def.node if node.op != "Fill")
    function = meta_graph.graph_def.library.function.add()
    function.node_def.extend(graph_def.node[:2])
    put("saved_model/graph", model.SerializeToString(deterministic=True))


def others():
    tensors = {"a.weight": KERNEL, "a.bias": BIAS.astype(np.float16), "steps": np.array([1], np.int64)}
    file = safetensors.numpy.save(tensors, {"format": "pt"})
    put("safetensors/two", file)
    put("siblings/model-00001-of-00001.safetensors", file)
    put(
        "safetensors_index/index",
        b'{"metadata":{"total_size":1},"weight_map":{"a.weight":"model-00001-of-00001.safetensors",'
        b'"a.bias":"model-00001-of-00001.safetensors"}}',
    )
    put("siblings/group1-shard1of1.bin", KERNEL.tobytes() + bytes(range(12)))
    put(
        "tfjs/model",
        b'{"format":"layers-model","weightsManifest":[{"paths":["group1-shard1of1.bin"],"weights":['
        b'{"name":"a/kernel","shape":[1,2,3],"dtype":"float32"},{"name":"b","shape":[2],"dtype":"float32",'
        b'"quantization":{"dtype":"uint8","scale":0.5,"min":-1.0}},{"name":"c","shape":[3],"dtype":"float32",'
        b'"quantization":{"dtype":"uint16","scale":0.5,"min":-1.0}},{"name":"d","shape":[2],"dtype":"float32",'
        b'"quantization":{"dtype":"float16"}}]}]}',
    )
    state = {"a.weight": torch.from_numpy(KERNEL), "a.bias": torch.from_numpy(BIAS).half(), "n": torch.tensor(3)}
    nested = {"epoch": 1, "state_dict": state, "optimizer": {"state": {0: {"m": torch.ones(2)}}, "param_groups": [{}]}}
    for name, value in [("state", state), ("nested", nested)]:
        for folder, new in [("pytorch", True), ("pytorch_legacy", False)]:
            path = CORPUS / "scratch" / "file"
            torch.save(value, path, _use_new_zipfile_serialization=new)
            put(f"{folder}/{name}", path.read_bytes())
    np.savez(CORPUS / "scratch" / "arrays", **{"a/weights:0": KERNEL, "f": np.asfortranarray(KERNEL[0].astype("f2"))})
    put("npz/stored", (CORPUS / "scratch" / "arrays.npz").read_bytes())
    np.savez_compressed(CORPUS / "scratch" / "arrays", b=BIAS.astype(np.float64), n=np.array(3))
    put("npz/compressed", (CORPUS / "scratch" / "arrays.npz").read_bytes())


def compressed():
    """Two coded tensors as the project writes them: of integers and by a palette."""
    entry = {"a": {"shape": [2, 3], "zero": 2}, "b": {"shape": [1, 4]}}
    coding = json.dumps({"method": "palette4", "tensors": entry})
    parts = [
        ("b.palette", "F32", struct.pack("<3f", -1.5, 0.25, 2.0), 3),
        ("a.scale", "BF16", struct.pack("<2H", 0x3F80, 0x3E00), 2),
        ("b.scale", "BF16", struct.pack("<H", 0x3F00), 1),
        ("a.codes", "U8", zlib.compress(bytes([0, 1, 2, 3, 4, 2]), 9), None),
        ("b.codes", "U8", zlib.compress(bytes([2, 0, 1, 1]), 9), None),
    ]
    header, values = {"__metadata__": {"mobilenet_v1_compression": coding}}, b""
    for name, dtype, data, count in parts:
        offsets = [len(values), len(values) + len(data)]
        header[name] = {"dtype": dtype, "shape": [len(data) if count is None else count], "data_offsets": offsets}
        values += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    put("safetensors/compressed", struct.pack("<Q", len(text)) + text + values)


def main():
    (CORPUS / "scratch").mkdir(parents=True)
    tensorflow()
    others()
    compressed()
    shutil.rmtree(CORPUS / "scratch")


if __name__ == "__main__":
    main()

"""TensorFlow's own files of a TF-slim style network, after one step of training, and its logits.

slim_v2/            V2 checkpoint in a folder with its state file: two partitioned variables,
                    moving averages, RMSProp's slots, global_step
slim_v1.ckpt        V1 checkpoint of the variables, the same two partitioned
slim_saved_model/   SavedModel of TensorFlow 1, with another epsilon
slim_variables.npz  the variables as NumPy's arrays, named as TensorFlow names their values;
                    one in Fortran order, one in f64
slim_64x64          logits of all
"""

import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

import slim_graph_def
from formula import FOLDER, image_batch, layer_names, network_weights, write
from slim_graph_def import FRAMEWORK, OPS, ops

ALPHA = 1 / 64
CLASSES = 10
SIZE = 64
HEAD = "Logits.Conv2d_1c_1x1"
# Variables in pieces, the axis that is cut, and the number of pieces.
PARTITIONED = {
    "MobilenetV1/Conv2d_13_pointwise/weights": (3, 3),
    "MobilenetV1/Conv2d_12_depthwise/depthwise_weights": (2, 2),
}
v1 = tf.compat.v1
v1.disable_v2_behavior()


def variable(name, value):
    partitioner = None
    if name in PARTITIONED:
        axis, shards = PARTITIONED[name]
        partitioner = v1.fixed_size_partitioner(shards, axis=axis)

    def initializer(shape, dtype=None, partition_info=None):
        offset = partition_info.var_offset if partition_info else [0] * value.ndim
        return tf.constant(value[tuple(slice(o, o + s) for o, s in zip(offset, shape, strict=True))], dtype)

    made = v1.get_variable(
        name, shape=value.shape, initializer=initializer, partitioner=partitioner,
        trainable="moving_" not in name, use_resource=False,
    )
    return tf.convert_to_tensor(made)


def network(weights):
    """Placeholder and logits; the variables hold `weights`."""
    # The parts of the network are those of the frozen graphs, on variables instead of constants.
    slim_graph_def.constant = variable
    inputs = v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="input")
    x = inputs
    for name in layer_names():
        block = int(name.split("_")[1])
        stride = 2 if block == 0 or (block in [2, 4, 6, 12] and name.endswith("depthwise")) else 1
        x = slim_graph_def.convolution(x, name, weights[f"{name}.weight"], stride, "Conv2D")
        x = ops.Relu6(features=slim_graph_def.batch_norm(x, name, weights, fused=True), name=f"{OPS}/{name}/Relu6")
    x = tf.reduce_mean(x, axis=[1, 2], keepdims=True)
    kernel = variable("MobilenetV1/Logits/Conv2d_1c_1x1/weights", weights[f"{HEAD}.weight"].transpose(2, 3, 1, 0))
    biases = variable("MobilenetV1/Logits/Conv2d_1c_1x1/biases", weights[f"{HEAD}.bias"])
    x = ops.BiasAdd(value=ops.Conv2D(input=x, filter=kernel, strides=[1, 1, 1, 1], padding="SAME"), bias=biases)
    return inputs, ops.Squeeze(input=x, axis=[1, 2], name="MobilenetV1/Logits/SpatialSqueeze")


def session():
    return v1.Session(config=v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1))


def whole(name, values):
    """A variable that may be in pieces."""
    if name not in PARTITIONED:
        return values[f"{name}:0"]
    pieces = sorted(key for key in values if key.startswith(f"{name}/part_"))
    return np.concatenate([values[key] for key in pieces], axis=PARTITIONED[name][0])


def trained(images):
    """One step of training; writes both checkpoints and the npz; gives logits and variables."""
    with tf.Graph().as_default(), session() as running:
        inputs, logits = network(network_weights(ALPHA, CLASSES))
        model_variables = v1.global_variables()
        step = v1.train.get_or_create_global_step()
        optimizer = v1.train.RMSPropOptimizer(0.003, decay=0.9, momentum=0.9, epsilon=1.0)
        # Few variables are trained, as slots make the file large.
        places = ["Conv2d_0/", "Conv2d_12_depthwise/", "Logits/"]
        few = [made for made in v1.trainable_variables() if any(place in made.op.name for place in places)]
        train = optimizer.minimize(tf.reduce_mean(tf.square(logits - 1.0)), global_step=step, var_list=few)
        average = v1.train.ExponentialMovingAverage(0.6)
        with tf.control_dependencies([train]):
            # Averages of the model's variables, not only of the trainable ones, as slim does.
            train = average.apply(model_variables)
        shadows = [average.average(made) for made in model_variables]
        running.run(v1.global_variables_initializer())
        for _ in range(2):
            running.run(train, {inputs: images})
        # Statistics are not trained here: shifted, so that their averages differ as well.
        for made in model_variables:
            if "moving_" in made.op.name:
                running.run(v1.assign(made, made * 1.125))
        results = {"logits": running.run(logits, {inputs: images})}

        folder = FOLDER / "slim_v2"
        shutil.rmtree(folder, ignore_errors=True)
        saver = v1.train.Saver(save_relative_paths=True)
        saver.save(running, str(folder / "model.ckpt"), global_step=step, write_meta_graph=False)
        saver = v1.train.Saver([*model_variables, step], write_version=v1.train.SaverDef.V1)
        saver.save(running, str(FOLDER / "slim_v1.ckpt"), write_meta_graph=False, write_state=False)

        values = {made.name: running.run(made) for made in model_variables}
        names = {made.name.split("/part_")[0].removesuffix(":0") for made in model_variables}
        arrays = {f"{name}:0": whole(name, values) for name in sorted(names)}
        arrays["MobilenetV1/Conv2d_5_pointwise/weights:0"] = np.asfortranarray(
            arrays["MobilenetV1/Conv2d_5_pointwise/weights:0"]
        )
        arrays["MobilenetV1/Conv2d_0/weights:0"] = arrays["MobilenetV1/Conv2d_0/weights:0"].astype(np.float64)
        np.savez_compressed(FOLDER / "slim_variables.npz", **arrays)

        running.run([v1.assign(made, shadow) for made, shadow in zip(model_variables, shadows, strict=True)])
        results["logits_of_averages"] = running.run(logits, {inputs: images})
    return results


def saved_model(images):
    folder = FOLDER / "slim_saved_model"
    shutil.rmtree(folder, ignore_errors=True)
    slim_graph_def.EPSILON = 0.002
    with tf.Graph().as_default(), session() as running:
        inputs, logits = network(network_weights(ALPHA, CLASSES))
        running.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        signature = v1.saved_model.predict_signature_def({"images": inputs}, {"logits": logits})
        builder.add_meta_graph_and_variables(
            running, [v1.saved_model.tag_constants.SERVING], {"serving_default": signature}, strip_default_attrs=True,
        )
        builder.save()
        result = running.run(logits, {inputs: images})
    # To keep the file small, its graph is cut to the nodes of batch normalisation.
    from tensorflow.core.protobuf import saved_model_pb2

    file = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta_graph in model.meta_graphs:
        meta_graph.meta_info_def.ClearField("stripped_op_list")
        meta_graph.meta_info_def.ClearField("function_aliases")
        meta_graph.ClearField("collection_def")
        kept = [node for node in meta_graph.graph_def.node if node.op.startswith("FusedBatchNorm")]
        del meta_graph.graph_def.node[:]
        meta_graph.graph_def.node.extend(kept)
        for node in meta_graph.graph_def.node:
            node.attr.pop("_output_shapes", None)
    file.write_bytes(model.SerializeToString(deterministic=True))
    shutil.rmtree(folder / "assets", ignore_errors=True)
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    return result


def main():
    images = image_batch(SIZE, SIZE).transpose(0, 2, 3, 1)
    results = trained(images)
    results["logits_of_saved_model"] = saved_model(images)
    for name, values in results.items():
        print(name, values.round(3).tolist()[0])
    write("slim_64x64.safetensors", results, {"framework": FRAMEWORK, "alpha": str(ALPHA)})


if __name__ == "__main__":
    main()

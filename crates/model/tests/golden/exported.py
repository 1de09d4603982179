"""Loads what `convert --to` writes into the frameworks, and compares their logits with `predict`.

No golden file comes of it: it is run by hand, from the project's root, after a change of names or
layouts:

    XTASK="cargo xtask" python crates/model/tests/golden/exported.py
"""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# torch before TensorFlow: the other way round, their copies of LLVM do not bear each other.
import torch
import timm  # noqa: F401
import keras
import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch, save_file
from timm.models.efficientnet import _gen_mobilenet_v1
from transformers import MobileNetV1Config, MobileNetV1ForImageClassification

import hugging_face
import slim_graph_def
import timm_model
from formula import image_batch, layer_names

ALPHA = 0.25
CLASSES = 1000
SIZE = 96


def xtask(*arguments):
    command = [*shlex.split(os.environ.get("XTASK", "cargo xtask")), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def by_transformers(file, images, same, epsilon):
    config = MobileNetV1Config(
        num_labels=CLASSES, depth_multiplier=ALPHA, layer_norm_eps=epsilon, tf_padding=same, image_size=SIZE
    )
    folder = file.parent / "hf"
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(file.read_bytes())
    config.save_pretrained(folder)
    model, info = MobileNetV1ForImageClassification.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    model.load_state_dict(load_torch(file), strict=True)
    with torch.no_grad():
        return model.eval()(torch.from_numpy(images)).logits.numpy()


def by_timm(file, images, same, epsilon):
    model = _gen_mobilenet_v1(
        "mobilenetv1_100", channel_multiplier=ALPHA, num_classes=CLASSES, bn_eps=epsilon, pad_type="same" if same else ""
    )
    model.load_state_dict(load_torch(file), strict=True)
    with torch.no_grad():
        return model.eval()(torch.from_numpy(images)).numpy()


def by_keras(file, images, same, epsilon):
    assert same and epsilon == 1e-3
    model = keras.applications.MobileNet(
        input_shape=(SIZE, SIZE, 3), alpha=ALPHA, weights=None, classes=CLASSES, classifier_activation=None
    )
    tensors = load_file(file)
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(tensors.pop(f"{layer.name}/{variable.name}"))
    assert not tensors, tensors.keys()
    return model(images.transpose(0, 2, 3, 1), training=False).numpy()


def by_slim(file, images, same, epsilon):
    assert same
    tensors = load_file(file)
    placeholders = {}
    for name in [*layer_names(), "Logits.Conv2d_1c_1x1"]:
        for part in ["weight", "bias"]:
            placeholders[f"{name}.{part}"] = np.zeros([1, 1, 1, 1])
            placeholders[f"{name}.batch_norm.{part}"] = np.zeros(1)
        for part in ["running_mean", "running_var"]:
            placeholders[f"{name}.batch_norm.{part}"] = np.zeros(1)

    def constant(name, _):
        return tf.constant(tensors.pop(name))

    slim_graph_def.constant, slim_graph_def.EPSILON = constant, epsilon
    x = tf.constant(images.transpose(0, 2, 3, 1))
    for name in layer_names():
        block = int(name.split("_")[1])
        stride = 2 if block == 0 or (block in [2, 4, 6, 12] and name.endswith("depthwise")) else 1
        x = slim_graph_def.convolution(x, name, placeholders[f"{name}.weight"], stride, "Conv2D")
        x = tf.nn.relu6(slim_graph_def.batch_norm(x, name, placeholders, fused=True))
    x = tf.reduce_mean(x, axis=[1, 2], keepdims=True)
    x = tf.nn.conv2d(x, tensors.pop("MobilenetV1/Logits/Conv2d_1c_1x1/weights"), 1, "SAME")
    x = x + tensors.pop("MobilenetV1/Logits/Conv2d_1c_1x1/biases")
    assert not tensors, tensors.keys()
    return tf.squeeze(x, [1, 2]).numpy()


FRAMEWORKS = {"hf": by_transformers, "timm": by_timm, "keras": by_keras, "slim": by_slim}


def check(name, source, folder, same, epsilon, targets):
    images = image_batch(SIZE, SIZE)
    np.save(folder / "input.npy", images.transpose(0, 2, 3, 1).copy())
    ours = folder / f"{name}.safetensors"
    xtask("convert", source, ours)
    xtask("predict", "--weights", ours, "--input", folder / "input.npy", "--output", folder / "output.npy")
    expected = np.load(folder / "output.npy")
    for target in targets:
        file = folder / f"{name}-{target}.safetensors"
        printed = xtask("convert", ours, file, "--to", target).splitlines()
        logits = FRAMEWORKS[target](file, images, same, epsilon)
        absolute = abs(logits - expected).max()
        relative = absolute / abs(expected).max()
        print(f"{name} -> {target}: max error {absolute:.1e}, relative {relative:.1e}")
        print(f"  {next(line for line in printed if ' builds it ' in line)}")
        assert relative <= 1e-4
        # And read again by us.
        again = folder / "again.npy"
        xtask("predict", "--weights", file, "--input", folder / "input.npy", "--output", again)
        assert (np.load(again) == expected).all()


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model = hugging_face.build(ALPHA, CLASSES)
        model.save_pretrained(folder / "source")
        check("transformers", folder / "source", folder, True, 1e-3, ["hf", "timm", "keras", "slim"])
        save_file(timm_model.build(ALPHA, CLASSES).state_dict(), folder / "source.safetensors")
        check("timm", folder / "source.safetensors", folder, False, 1e-5, ["hf", "timm"])


if __name__ == "__main__":
    main()

"""Files of MobileNetV1 1.0/224 in every format, with random weights, to measure what reading takes.

    for part in slim keras torch; do python full_size.py $part OUT; done

About 400 MB. They are not kept: `cargo xtask convert OUT/FILE x.safetensors` is timed on them.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["TF_USE_LEGACY_KERAS"] = "0"

from formula import image_batch

SIZE = 224


def slim(out):
    import tf_checkpoints

    tf_checkpoints.ALPHA, tf_checkpoints.SIZE, tf_checkpoints.CLASSES = 1, SIZE, 1001
    tf_checkpoints.FOLDER = out
    images = image_batch(SIZE, SIZE).transpose(0, 2, 3, 1)
    tf_checkpoints.trained(images)
    tf_checkpoints.saved_model(images)


def keras(out):
    import tensorflow as tf

    import keras_formats

    model = tf.keras.applications.MobileNet(weights=None, classifier_activation=None)
    for name in ["whole.h5", "only.weights.h5", "whole.keras"]:
        save = model.save_weights if "weights" in name else model.save
        save(out / name)
    keras_formats.FOLDER, keras_formats.SHARD = out, 4 << 20
    keras_formats.saved_model(model)
    keras_formats.tfjs(model)
    for name, types in [("float.tflite", None), ("float16.tflite", [tf.float16])]:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if types:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = types
        (out / name).write_bytes(converter.convert())


def torch(out):
    import safetensors.torch
    import torch

    from hugging_face import build as transformers_model
    from timm_model import build as timm_model

    state = timm_model(1.0, 1000).state_dict()
    torch.save(state, out / "timm.pth")
    torch.save({"state_dict": state}, out / "legacy.tar", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(state, out / "timm.safetensors")
    transformers_model(1.0, 1001).save_pretrained(out / "transformers", max_shard_size="6MB")


if __name__ == "__main__":
    part, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    {"slim": slim, "keras": keras, "torch": torch}[part](folder)

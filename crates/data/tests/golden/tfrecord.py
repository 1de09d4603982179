"""Two TFRecord shards in slim's ImageNet layout, written by TensorFlow, and what they hold."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import io
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

HERE = Path(__file__).parent / "tfrecord"
NAMES = ["background", "tench", "goldfish", "great white shark"]


def feature(value):
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def main():
    HERE.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    expected = []
    for shard in range(2):
        path = HERE / f"train-{shard:05}-of-00002"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for number in range(3):
                pixels = rng.integers(0, 256, (4 + number, 5, 3), dtype=np.uint8)
                encoded = io.BytesIO()
                Image.fromarray(pixels).save(encoded, "PNG")
                label = 1 + (shard * 3 + number) % 3
                features = {
                    "image/encoded": feature(encoded.getvalue()),
                    "image/format": feature(b"PNG"),
                    "image/height": feature(4 + number),
                    "image/class/label": feature(label),
                    "image/class/text": feature(NAMES[label].encode()),
                    "image/object/bbox/xmin": feature(0.25),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
                expected.append({"label": label, "text": NAMES[label], "pixels": pixels.flatten().tolist()})
    document = {"framework": f"tensorflow {tf.__version__}", "records": expected}
    (HERE / "expected.json").write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()

"""event_file.tfevents: the events of a unit test in src/log/tensorboard.rs, by TensorFlow.

TensorFlow 2.21 wrote the committed file. It is read back here with TensorBoard's reader.
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from formula import FOLDER

Event, Summary, SessionLog = tf.compat.v1.Event, tf.compat.v1.Summary, tf.compat.v1.SessionLog


def scalars(**values):
    tags = {tag.replace("__", "/"): value for tag, value in values.items()}
    return Summary(value=[Summary.Value(tag=tag, simple_value=tags[tag]) for tag in tags])


events = [
    Event(wall_time=1500000000.25, file_version="brain.Event:2"),
    Event(
        wall_time=1500000000.25,
        step=7,
        session_log=SessionLog(status=SessionLog.SessionStatus.Value("START")),
    ),
    Event(wall_time=1500000001.5, summary=scalars(losses__total_loss=0.0)),
    Event(
        wall_time=1500000002.75,
        step=123456789012,
        summary=scalars(eval__Accuracy=0.875, eval__Recall_5=-1.1),
    ),
]
path = str(FOLDER / "event_file.tfevents")
with tf.io.TFRecordWriter(path) as writer:
    for event in events:
        writer.write(event.SerializeToString(deterministic=True))
assert len(list(EventFileLoader(path).Load())) == len(events)

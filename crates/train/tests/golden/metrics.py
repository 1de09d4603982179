"""metrics.json: TensorFlow's argmax and in_top_k, ties included, and per-class figures."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf

from formula import normal, numbers, write

BATCH, CLASSES = 60, 9
# Rounded, so that ties are frequent, at the first place and at the fifth.
logits = np.round(normal("logits", (BATCH, CLASSES), 1.2))
labels = np.random.RandomState(7).randint(0, CLASSES - 1, BATCH)
predicted = tf.argmax(logits, 1).numpy()
in_top_5 = tf.math.in_top_k(labels, logits, 5).numpy()

fifth = np.sort(logits, 1)[:, -5]
ties = (logits[np.arange(BATCH), labels] == fifth) & ((logits >= fifth[:, None]).sum(1) > 5)
if ties.sum() < 3 or in_top_5.all():
    raise SystemExit("no ties to tell rules apart")

# Rows that are not finite.
special = np.tile(np.arange(CLASSES, dtype=np.float32), (4, 1))
special[0, 8], special[1, 0], special[2, 8], special[3, 0] = np.nan, np.nan, np.inf, -np.inf
special_labels = np.array([8, 8, 8, 8])

confusion = tf.math.confusion_matrix(labels, predicted, CLASSES).numpy()
precision, recall = [], []
for index in range(CLASSES):
    for metric, figures in [
        (tf.keras.metrics.Precision(), precision),
        (tf.keras.metrics.Recall(), recall),
    ]:
        metric.update_state(labels == index, predicted == index)
        figures.append(numbers(metric.result().numpy()))

write(
    "metrics.json",
    [np, tf],
    {
        "classes": CLASSES,
        "logits": numbers(logits.reshape(-1)),
        "labels": labels.tolist(),
        "predicted": predicted.tolist(),
        "in_top_5": in_top_5.tolist(),
        "special": [
            {
                # JSON has no NaN.
                "logits": [str(value) for value in row],
                "label": int(label),
                "in_top_5": bool(tf.math.in_top_k([label], [row], 5).numpy()[0]),
            }
            for row, label in zip(special, special_labels)
        ],
        "confusion": confusion.reshape(-1).tolist(),
        "precision": precision,
        "recall": recall,
    },
)

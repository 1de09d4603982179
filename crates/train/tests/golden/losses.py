"""losses.json: losses and gradients of TensorFlow and PyTorch on the same logits."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf
import torch
from torch.nn import functional

from formula import normal, numbers, write

BATCH, CLASSES = 5, 7
logits = normal("logits", (BATCH, CLASSES), 3.0)
# One row far from zero: a naive sum of exponentials overflows there.
logits[3] += 200
teacher = normal("teacher", (BATCH, CLASSES), 4.0)
labels = np.array([3, 0, 6, 2, 2])


def torch_loss(inputs, loss_of):
    """Losses of examples, their mean, and its gradient, in f64."""
    inputs = torch.tensor(inputs.astype(np.float64), requires_grad=True)
    examples = loss_of(inputs)
    examples.mean().backward()
    return {
        "examples": examples.detach().tolist(),
        "mean": examples.mean().item(),
        "gradient": numbers(inputs.grad.numpy().astype(np.float32).reshape(-1)),
    }


def cross_entropy(smoothing):
    of = lambda x: functional.cross_entropy(
        x, torch.tensor(labels), label_smoothing=smoothing, reduction="none"
    )
    with tf.GradientTape() as tape:
        inputs = tf.constant(logits)
        tape.watch(inputs)
        loss = tf.compat.v1.losses.softmax_cross_entropy(
            tf.one_hot(labels, CLASSES), inputs, label_smoothing=smoothing
        )
    return {
        "label_smoothing": smoothing,
        **torch_loss(logits, of),
        "tensorflow_mean": numbers(loss.numpy()),
        "tensorflow_gradient": numbers(tape.gradient(loss, inputs).numpy().reshape(-1)),
    }


def distillation(weight, temperature, smoothing):
    def of(x):
        target = functional.softmax(torch.tensor(teacher).double() / temperature, dim=1)
        log_student = functional.log_softmax(x / temperature, dim=1)
        soft = functional.kl_div(log_student, target, reduction="none").sum(1) * temperature**2
        hard = functional.cross_entropy(
            x, torch.tensor(labels), label_smoothing=smoothing, reduction="none"
        )
        return weight * soft + (1 - weight) * hard

    config = {"weight": weight, "temperature": temperature, "label_smoothing": smoothing}
    return {"config": config, **torch_loss(logits, of)}


def squared_difference():
    return torch_loss(logits, lambda x: ((x - torch.tensor(teacher).double()) ** 2).sum(1))


write(
    "losses.json",
    [np, tf, torch],
    {
        "classes": CLASSES,
        "logits": numbers(logits.reshape(-1)),
        "teacher": numbers(teacher.reshape(-1)),
        "labels": labels.tolist(),
        "cross_entropy": [cross_entropy(smoothing) for smoothing in [0.0, 0.1, 1.0]],
        "distillation": [
            distillation(1.0, 1.0, 0.0),
            distillation(0.7, 4.0, 0.1),
            distillation(0.0, 2.0, 0.0),
        ],
        "squared_difference": squared_difference(),
    },
)

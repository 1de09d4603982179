"""heads.json: losses of attributes and embeddings with gradients by PyTorch; average precision and
verification by scikit-learn."""

import numpy as np
import sklearn
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from torch.nn import functional

from formula import normal, numbers, write

BATCH, WIDTH = 7, 5
outputs = normal("outputs", (BATCH, WIDTH), 3.0)
# Far from zero: a naive exponential overflows there.
outputs[3, :2] = [200, -200]
targets = np.random.RandomState(1).randint(0, 11, (BATCH, WIDTH)).astype(np.float32) / 10
known = np.random.RandomState(2).rand(BATCH, WIDTH) > 0.2
# The last has no other of its label.
labels = np.array([0, 1, 0, 2, 1, 0, 3])
labels[3] = 1
vectors = normal("vectors", (BATCH, WIDTH), 1.0)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)


def loss(inputs, loss_of):
    """Losses of examples, their mean, and its gradient, in f64."""
    inputs = torch.tensor(inputs.astype(np.float64), requires_grad=True)
    examples, mean = loss_of(inputs)
    mean.backward()
    return {
        "examples": examples.detach().tolist(),
        "mean": mean.item(),
        "gradient": numbers(inputs.grad.numpy().astype(np.float32).reshape(-1)),
    }


def sigmoid(weights):
    def of(x):
        examples = functional.binary_cross_entropy_with_logits(
            x,
            torch.tensor(targets).double(),
            weight=torch.tensor(weights).double(),
            reduction="none",
        ).mean(1)
        return examples, examples.mean()

    return loss(outputs, of)


def direction(x):
    examples = ((functional.normalize(x) - torch.tensor(vectors).double()) ** 2).sum(1)
    return examples, examples.mean()


def contrast(temperature):
    """The authors' formula, with all positives of each anchor in the mean outside of the logarithm."""

    def of(x):
        logits = functional.normalize(x) @ functional.normalize(x).T / temperature
        itself = torch.eye(BATCH, dtype=torch.bool)
        log_prob = functional.log_softmax(logits.masked_fill(itself, -torch.inf), dim=1)
        same = torch.tensor(labels[:, None] == labels[None, :]) & ~itself
        count = same.sum(1)
        examples = -log_prob.masked_fill(~same, 0).sum(1) / count.clamp(min=1)
        return examples, examples.sum() / (count > 0).sum()

    return {"temperature": temperature, **loss(outputs, of)}


# Rounded, so that equal scores are frequent.
random = np.random.RandomState(3)
scores = np.round(random.randn(400), 1).astype(np.float32)
positive = (random.randn(400) + scores) > 1
false_rates, true_rates, _ = roc_curve(positive, scores, drop_intermediate=False)
rates = [0.5, 0.1, 0.02, 0.004]

write(
    "heads.json",
    [np, sklearn, torch],
    {
        "width": WIDTH,
        "outputs": numbers(outputs.reshape(-1)),
        "targets": numbers(targets.reshape(-1)),
        "known": known.reshape(-1).tolist(),
        "labels": labels.tolist(),
        "vectors": numbers(vectors.astype(np.float32).reshape(-1)),
        "sigmoid": sigmoid(np.ones_like(targets)),
        "sigmoid_of_known": sigmoid(known.astype(np.float32)),
        "direction": loss(outputs, direction),
        "contrast": [contrast(0.1), contrast(0.5)],
        "scores": numbers(scores),
        "positive": positive.tolist(),
        "average_precision": average_precision_score(positive, scores),
        "area": roc_auc_score(positive, scores),
        "true_accepts": [
            {"rate": rate, "share": float(true_rates[false_rates <= rate].max())} for rate in rates
        ],
    },
)

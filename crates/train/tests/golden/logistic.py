"""logistic.json: scikit-learn's logistic regression on features that are standardised first."""

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression

from formula import normal, numbers, write

ROWS, WIDTH, CLASSES = 90, 24, 5
labels = np.arange(ROWS) * 7 % CLASSES
centres = normal("centres", (CLASSES, WIDTH), 0.6)
# Features of different sizes, of which one never changes.
sizes = np.linspace(0.1, 30.0, WIDTH)
features = (centres[labels] + normal("features", (ROWS, WIDTH), 1.0) + 2.0) * sizes
features[:, 3] = 4.5
features = features.astype(np.float32)

wide = features.astype(np.float64)
deviations = wide.std(0)
scaled = (wide - wide.mean(0)) / np.where(deviations > 1e-6, deviations, np.inf)
queries = features[::9]


def fitted(l2):
    # scikit-learn: C * sum of losses + half the squared weights.
    model = LogisticRegression(C=1 / (ROWS * l2), solver="lbfgs", tol=1e-10, max_iter=10_000)
    model.fit(scaled, labels)
    probabilities = model.predict_proba(scaled)
    loss = -np.log(probabilities[np.arange(ROWS), labels]).mean() + 0.5 * l2 * (model.coef_**2).sum()
    return {"l2": l2, "loss": float(loss), "probabilities": probabilities[::9].reshape(-1).tolist()}


write(
    "logistic.json",
    [np, sklearn],
    {
        "width": WIDTH,
        "classes": CLASSES,
        "features": numbers(features.reshape(-1)),
        "labels": labels.tolist(),
        "queries": numbers(queries.reshape(-1)),
        "fitted": [fitted(l2) for l2 in [1e-3, 1e-2, 0.3]],
    },
)

"""What both scripts of optimisers share: the weights and the gradients of five steps."""

import numpy as np

from formula import normal, numbers

VALUES, STEPS = 24, 5
# The first two thirds are decayed, the others not.
DECAYED = 16
WEIGHT_DECAY = 0.02
RATES = [0.1, 0.1, 0.05, 0.05, 0.01]

weights = normal("weights", (VALUES,))
# Magnitudes from 1e-3 to 10, so that every epsilon matters somewhere.
gradients = normal("gradients", (STEPS, VALUES)) * 10.0 ** np.linspace(-3, 1, VALUES)
gradients = gradients.astype(np.float32)


def content(**results):
    return {
        "weights": numbers(weights),
        "gradients": numbers(gradients),
        "learning_rates": RATES,
        "decayed": DECAYED,
        "weight_decay": WEIGHT_DECAY,
        **results,
    }

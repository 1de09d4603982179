"""optimizers_torch.json: PyTorch's optimisers, clipping and cosine schedule.

Not one script with TensorFlow's: each brings an LLVM of its own, and they do not load together.
"""

import numpy as np
import torch

from formula import numbers, write
from optimizer_inputs import DECAYED, RATES, STEPS, WEIGHT_DECAY, content, gradients, weights


def steps(make):
    """Weights after each step of a PyTorch optimiser with two parameter groups."""
    parts = [torch.tensor(weights[:DECAYED]), torch.tensor(weights[DECAYED:])]
    optimizer = make(
        [
            {"params": [parts[0]], "weight_decay": WEIGHT_DECAY},
            {"params": [parts[1]], "weight_decay": 0.0},
        ]
    )
    rows = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATES[step]
        gradient = torch.tensor(gradients[step])
        parts[0].grad, parts[1].grad = gradient[:DECAYED], gradient[DECAYED:]
        optimizer.step()
        rows.append(torch.cat(parts).numpy().copy())
    return numbers(np.stack(rows))


def sgd():
    return {"config": {"name": "sgd"}, "weights": steps(lambda g: torch.optim.SGD(g, lr=1))}


def momentum(nesterov):
    config = {"name": "momentum", "momentum": 0.9, "nesterov": nesterov}
    make = lambda groups: torch.optim.SGD(groups, lr=1, momentum=0.9, nesterov=nesterov)
    return {"config": config, "weights": steps(make)}


def rms_prop(alpha, share, epsilon):
    config = {"name": "rms_prop_torch", "alpha": alpha, "momentum": share, "epsilon": epsilon}
    make = lambda groups: torch.optim.RMSprop(
        groups, lr=1, alpha=alpha, momentum=share, eps=epsilon
    )
    return {"config": config, "weights": steps(make)}


def adam_w(beta1, beta2, epsilon):
    config = {"name": "adam_w", "beta1": beta1, "beta2": beta2, "epsilon": epsilon}
    make = lambda groups: torch.optim.AdamW(groups, lr=1, betas=(beta1, beta2), eps=epsilon)
    return {"config": config, "weights": steps(make)}


def clipping(limit):
    parts = [torch.zeros(DECAYED), torch.zeros(len(weights) - DECAYED)]
    gradient = torch.tensor(gradients[0])
    parts[0].grad, parts[1].grad = gradient[:DECAYED].clone(), gradient[DECAYED:].clone()
    norm = torch.nn.utils.clip_grad_norm_(parts, limit)
    return {
        "limit": limit,
        "norm": numbers(norm.numpy()),
        "clipped": numbers(torch.cat([part.grad for part in parts]).numpy()),
    }


def cosine(initial, end, steps):
    """The rates up to T_max: PyTorch's rise again after it, ours stay."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=initial)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, end)
    rates = []
    for _ in range(steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    schedule = {"initial": initial, "warm_up_steps": 0, "total_steps": steps, "end": end}
    return {"schedule": {"name": "cosine", **schedule}, "rates": rates}


write(
    "optimizers_torch.json",
    [np, torch],
    content(
        optimizers=[
            sgd(),
            momentum(False),
            momentum(True),
            rms_prop(0.9, 0.9, 1.0),
            rms_prop(0.99, 0.0, 1e-8),
            adam_w(0.9, 0.999, 1e-8),
            adam_w(0.6, 0.99, 1e-3),
        ],
        clipping=[clipping(limit) for limit in [0.5, 1e3]],
        schedules=[cosine(0.2, 0.01, 10)],
    ),
)

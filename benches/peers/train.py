"""PyTorch trains the whole network: `train.py --width 1.0 --resolution 128 --batch 16 --threads 2`.

A peer for training speed. It speaks the protocol of README.md, but one "run" is one training step
(forward, loss, backward, RMSprop), and its `logits` are the first loss: a random
network and random images need no common answer. With `--steps N` it does not listen and prints N times itself.

PyTorch gets what was fastest: channels_last (NCHW takes half as long again), oneDNN, `padding=1`.
In-place ReLU6 and the multi-tensor optimiser make no difference beyond noise. Eager, since
torch.compile needs a C++ compiler.
"""

import argparse
import json
import sys
import time

import torch
from torch import nn

from memory import peak_mb

# Channels and stride of the 13 separable blocks after the stem of 32 channels.
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
BLOCKS += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]


def layer(inputs, outputs, kernel, stride, groups):
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=3e-4),
        nn.ReLU6(inplace=True),
    ]


def mobilenet_v1(width, classes):
    def depth(channels):
        return max(int(channels * width), 8)

    layers = layer(3, depth(32), 3, 2, 1)
    channels = depth(32)
    for outputs, stride in BLOCKS:
        layers += layer(channels, channels, 3, stride, channels)
        layers += layer(channels, depth(outputs), 1, 1, 1)
        channels = depth(outputs)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--steps", type=int, help="time so many steps and end")
    return parser.parse_args()


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    start = time.perf_counter()
    model = mobilenet_v1(options.width, options.classes).to(memory_format=torch.channels_last).train()
    # As in TF-slim: L2 on the full and pointwise convolutions and the logits only.
    decayed, plain = [], []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            dense = name == "weight" and (
                isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
            )
            (decayed if dense else plain).append(parameter)
    optimizer = torch.optim.RMSprop(
        [{"params": decayed, "weight_decay": 4e-5}, {"params": plain}],
        lr=0.001, alpha=0.9, eps=1.0, momentum=0.9, foreach=True,
    )
    images = torch.rand(options.batch, 3, options.resolution, options.resolution) * 2 - 1
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(options.classes, (options.batch,))

    def step():
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return (time.perf_counter() - start) * 1e3, loss.item()

    def say(value):
        print(json.dumps(value), flush=True)

    _, loss = step()
    load_ms = (time.perf_counter() - start) * 1e3
    for _ in range(2):
        step()
    say({"version": torch.__version__.split("+")[0], "load_ms": load_ms, "logits": [loss]})
    requests = sys.stdin if options.steps is None else [f"run {options.steps}"]
    for line in requests:
        say([step()[0] for _ in range(int(line.split()[1]))])
    say({"peak_rss_mb": peak_mb()})


if __name__ == "__main__":
    main()

"""MobileNetV1 on Fashion-MNIST in PyTorch: the counterpart of this project's recipe.

    python fashion_mnist.py --threads 2

The same network, data, augmentation, schedule and optimisers, with the recipe's settings as
defaults, to compare accuracy and speed. Data: the four IDX files (.gz or not), by default where Debian's package
dataset-fashion-mnist puts them. Prints a line an epoch and one JSON object at the end.
Needs torch and numpy.
"""

import argparse
import gzip
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

CLASSES, SIDE = 10, 28
# Channels at width 1 and stride of the 13 separable blocks after the stem of 32.
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
BLOCKS += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]


def parse():
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default="/usr/share/datasets/fashion-mnist")
    add("--width", type=float, default=0.25)
    add("--resolution", type=int, default=96)
    add("--batch-size", type=int, default=128)
    add("--epochs", type=int, default=20)
    add("--steps", type=int, help="stop after so many steps; the schedule still spans all epochs")
    add("--train-images", type=int, default=60_000, help="use only the first ones")
    add("--optimizer", choices=["rmsprop", "sgd", "adamw"], default="sgd")
    add("--learning-rate", type=float, help="peak (rmsprop 0.02, sgd 0.3, adamw 0.003)")
    add("--warmup-epochs", type=float, default=1.0)
    add("--label-smoothing", type=float, default=0.05)
    add("--weight-decay", type=float, help="rmsprop 4e-5, sgd 1e-4, adamw 0.05")
    add("--pad", type=int, default=4, help="black pixels around the network's input before the random crop")
    add("--reflect", action="store_true", help="reflect instead of black")
    add("--no-flip", action="store_true")
    add("--dropout", type=float, default=0.001)
    add("--bn-decay", type=float, default=0.99)
    add("--ema", type=float, default=0.999, help="decay of the averaged weights; 0 for none")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=2)
    options = parser.parse_args()
    rate, decay = {"rmsprop": (0.02, 4e-5), "sgd": (0.3, 1e-4), "adamw": (0.003, 0.05)}[options.optimizer]
    options.learning_rate = rate if options.learning_rate is None else options.learning_rate
    options.weight_decay = decay if options.weight_decay is None else options.weight_decay
    return options


# Network


class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding: where the total is odd, the extra zeros are below and right."""

    def forward(self, x):
        pads = []
        for size in [x.shape[3], x.shape[2]]:
            stride, kernel = self.stride[0], self.kernel_size[0]
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        symmetric = pads[0] == pads[1] and pads[2] == pads[3]
        padding = (pads[2], pads[0]) if symmetric else 0
        x = x if symmetric else F.pad(x, pads)
        return F.conv2d(x, self.weight, None, self.stride, padding, 1, self.groups)


def mobilenet_v1(options):
    def depth(channels):
        return max(int(channels * options.width), 8)

    def layer(inputs, outputs, kernel, stride, groups=1):
        convolution = SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        return [convolution, nn.BatchNorm2d(outputs, 1e-3, 1 - options.bn_decay), nn.ReLU6(inplace=True)]

    channels = depth(32)
    layers = layer(3, channels, 3, 2)
    for outputs, stride in BLOCKS:
        layers += layer(channels, channels, 3, stride, groups=channels)
        layers += layer(channels, depth(outputs), 1, 1)
        channels = depth(outputs)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(options.dropout), nn.Linear(channels, CLASSES)]
    model = nn.Sequential(*layers, *head)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, std=0.09, a=-0.18, b=0.18)
    nn.init.zeros_(model[-1].bias)
    return model.to(memory_format=torch.channels_last)


# Data


def read_idx(folder, name):
    path = folder / name
    data = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape).copy())


def read_split(folder, name):
    """Images [N, 28, 28] scaled to [-1, 1], and labels."""
    images = read_idx(folder, f"{name}-images-idx3-ubyte").float() / 127.5 - 1
    return images, read_idx(folder, f"{name}-labels-idx1-ubyte").long()


def resized(images, resolution):
    """[N, resolution, resolution], bilinear with half-pixel centres."""
    if resolution == SIDE:
        return images
    return F.interpolate(images[:, None], (resolution, resolution), mode="bilinear", align_corners=False)[:, 0]


def augment(images, options):
    """A random crop of the padded images and a random mirror, one gather for the whole batch."""
    count, side, pad = *images.shape[:2], options.pad
    if pad:
        # A black pixel is -1.
        how = {"mode": "reflect"} if options.reflect else {"value": -1.0}
        images = F.pad(images[:, None], (pad,) * 4, **how)[:, 0]
    positions = torch.arange(side)
    rows = torch.randint(2 * pad + 1, (count, 1)) + positions
    mirror = torch.zeros(count, 1, dtype=torch.bool) if options.no_flip else torch.rand(count, 1) < 0.5
    columns = torch.randint(2 * pad + 1, (count, 1)) + torch.where(mirror, side - 1 - positions, positions)
    return images[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def grey_as_rgb(images):
    return images[..., None].expand(-1, -1, -1, 3).contiguous().permute(0, 3, 1, 2)


# Optimisation


class RMSpropTF(torch.optim.Optimizer):
    """TensorFlow's form: mean squares start at 1, epsilon is inside the root, and the learning
    rate is inside the momentum."""

    def __init__(self, groups, lr, decay=0.9, momentum=0.9, epsilon=1e-3):
        super().__init__(groups, dict(lr=lr, decay=decay, momentum=momentum, epsilon=epsilon, weight_decay=0.0))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            parameters = group["params"]
            gradients = [parameter.grad for parameter in parameters]
            if group["weight_decay"]:
                gradients = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
            for parameter in parameters:
                state = self.state[parameter]
                if not state:
                    state.update(square=torch.ones_like(parameter), moment=torch.zeros_like(parameter))
            squares = [self.state[parameter]["square"] for parameter in parameters]
            moments = [self.state[parameter]["moment"] for parameter in parameters]
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
            roots = torch._foreach_sqrt(torch._foreach_add(squares, group["epsilon"]))
            torch._foreach_mul_(moments, group["momentum"])
            torch._foreach_addcdiv_(moments, gradients, roots, group["lr"])
            torch._foreach_sub_(parameters, moments)


def optimizer_of(model, options):
    """Weight decay only on full and pointwise convolutions and the logits."""
    decayed, plain = [], []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            dense = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
            (decayed if dense and name == "weight" else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    rate = options.learning_rate
    if options.optimizer == "rmsprop":
        return RMSpropTF(groups, rate)
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, rate)


def rate_at(step, warmup, total, peak):
    """Linear from 0 over the warm-up, then half a cosine down to 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


class Average:
    """Exponential moving average of weights and batch norm statistics."""

    def __init__(self, model, options):
        self.decay, self.steps = options.ema, 0
        self.model = mobilenet_v1(options)
        self.model.load_state_dict(model.state_dict())
        self.pairs = [
            [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
            for network in [self.model, model]
        ]

    @torch.no_grad()
    def update(self):
        """The decay grows to its value, so that the first steps are soon forgotten."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.pairs[0], self.pairs[1], 1 - decay)


@torch.no_grad()
def accuracy(model, images, labels, resolution):
    model.eval()
    right = 0
    for xs, ys in zip(images.split(500), labels.split(500), strict=True):
        right += (model(grey_as_rgb(resized(xs, resolution))).argmax(1) == ys).sum().item()
    return right / len(labels)


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    images, labels = (part[: options.train_images] for part in read_split(options.data, "train"))
    test_images, test_labels = read_split(options.data, "t10k")
    model = mobilenet_v1(options)
    average = Average(model, options) if options.ema else None
    optimizer = optimizer_of(model, options)
    # The last batch of an epoch is dropped where it is not full.
    epoch_steps = len(labels) // options.batch_size
    total, warmup = epoch_steps * options.epochs, round(epoch_steps * options.warmup_epochs)
    last = min(total, options.steps or total)
    step, epochs = 0, []
    while step < last:
        model.train()
        start, losses = time.perf_counter(), []
        for indices in torch.randperm(len(labels)).split(options.batch_size)[:epoch_steps][: last - step]:
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, warmup, total, options.learning_rate)
            photos = augment(resized(images[indices], options.resolution), options)
            logits = model(grey_as_rgb(photos))
            loss = F.cross_entropy(logits, labels[indices], label_smoothing=options.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if average:
                average.update()
            losses.append(loss.detach())
            step += 1
        seconds = time.perf_counter() - start
        result = {
            "epoch": len(epochs) + 1,
            "loss": round(torch.stack(losses).mean().item(), 4),
            "accuracy": accuracy(model, test_images, test_labels, options.resolution),
            "images_per_second": round(len(losses) * options.batch_size / seconds),
        }
        if average:
            result["ema_accuracy"] = accuracy(average.model, test_images, test_labels, options.resolution)
        epochs.append(result)
        print(" ".join(f"{key} {value}" for key, value in result.items()), flush=True)
    recipe = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    print(json.dumps({"torch": torch.__version__, "recipe": recipe, "steps": step, "epochs": epochs}))


if __name__ == "__main__":
    main()

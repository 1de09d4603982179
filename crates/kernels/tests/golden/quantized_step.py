"""Golden training steps with fake quantisation: PyTorch in float64.

The semantics are those of TensorFlow 1.15's `contrib/quantize` (`create_training_graph`), written
with plain operations; autograd computes the gradients.

* Batch normalisation is folded into the weights. The statistics of the batch come from a
  convolution with the weights as they are. The convolution that counts has the weights
  w * correction * gamma / sigma_batch, where correction = sigma_batch / sigma_moving, and its output
  is divided by the correction. After `freeze_bn_delay` it is not divided, and an offset replaces the
  batch's mean by the moving one.
* The folded weights are rounded to levels 1 to 255 of the range from their smallest to their largest
  value; in the scheme `per_channel`, which is not TensorFlow's, to the range from -m to m, where m is
  the channel's largest absolute value.
* The activation is rounded to levels 0 to 255 of a moving range: `biased` moves by 0.001 of the
  difference to the batch's smallest and largest value, and is divided by 1 - 0.999^steps. The logits
  are rounded in the same way.
* The gradient of rounding is 1 inside of the nudged range and 0 outside.

The network: a full convolution of stride 2, then depthwise, pointwise, depthwise of stride 2 and
pointwise ones, all with SAME padding and ReLU6, then the mean over the map and a classifier. Four
images of 9 x 7. Parameters are those of the metadata's `parameters` ("name length" each), one after
the other in the tensor `parameters`; weights are OIHW. `images` is NHWC, `biased` holds the smallest
and largest value of each range before the step, `steps` in the metadata counts its updates.

For each RUN (`per_tensor`, `per_channel`, `one_image` which is per tensor for the first image alone,
so that the last map has fewer pixels than channels, `frozen` which is per tensor after freeze_bn_delay, and
`integers`, which is `frozen` without an update of the ranges and with all else rounded that integers
round: the biases to multiples of the input's scale (1/128 of the images) times the weights' scale,
and the mean over the last map, to the values of the last activation):

    RUN.logits       rounded
    RUN.biased       after the step
    RUN.gradients    of the cross-entropy of `labels`, by the layout of `parameters`
    RUN.weights      folded and rounded, without the gaps of other parameters

A rounding can differ between float64 and float32 only if a value is close to a tie. The script draws
with new seeds until none is. It does the same for the bounds of ReLU6 and of all ranges.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parents[2] / "model/tests/golden"))

import formula  # noqa: E402

formula.FOLDER = FOLDER
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
EPSILON, SHARE, STEPS = 1e-3, np.float32(0.001), 3
# Distance from a tie in steps, and from a bound in the value's own unit.
MARGIN = 1.2e-4
BATCH, HEIGHT, WIDTH, CLASSES = 4, 9, 7, 5
# Name, input channels, output channels, stride.
LAYERS = [
    ("conv", 3, 7, 2),
    ("depthwise_1", 7, 7, 1),
    ("pointwise_1", 7, 12, 1),
    ("depthwise_2", 12, 12, 2),
    ("pointwise_2", 12, 17, 1),
]


class TooClose(Exception):
    """A value is close to a tie or to a bound."""


def check(distance, limit=MARGIN):
    if distance.numel() and distance.abs().min() < limit:
        raise TooClose


class FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, low, high, least, clips):
        """`low` and `high` broadcast to x."""
        low, high = torch.clamp(low, max=0), torch.clamp(high, min=0)
        scale = (high - low) / (255 - least)
        zero = torch.clamp(torch.floor(least - low / scale + 0.5), least, 255)
        low, high = (least - zero) * scale, (255 - zero) * scale
        ctx.save_for_backward((low <= x) & (x <= high) if clips else torch.ones_like(x))
        inside = torch.clamp(x, low, high)
        steps = (inside - low) / scale + 0.5
        check((steps - torch.round(steps))[inside == x])
        if clips:
            for bound in (low, high):
                check(((x - bound) / scale)[x != 0])
        return torch.floor(steps - (zero - least)) * scale

    @staticmethod
    def backward(ctx, gradient):
        (passes,) = ctx.saved_tensors
        return gradient * passes, None, None, None, None


class Network:
    def __init__(self, seed):
        self.layout, values, f = [], {}, formula.uniform

        def draw(name, shape, center, spread):
            value = (center + spread * f(f"{seed}.{name}", shape)).astype(np.float32)
            self.layout.append(name)
            values[name] = torch.from_numpy(value.astype(np.float64))

        for name, inputs, outputs, _ in LAYERS:
            kernel = 1 if "pointwise" in name else 3
            depth = 1 if "depthwise" in name else inputs
            spread = (6 / (depth * kernel * kernel)) ** 0.5
            draw(f"{name}.weight", (outputs, depth, kernel, kernel), 0, spread)
            draw(f"{name}.gamma", (outputs,), 2, 1)
            draw(f"{name}.beta", (outputs,), 1, 1.5)
            draw(f"{name}.mean", (outputs,), 0, 0.5)
            draw(f"{name}.variance", (outputs,), 1.5, 0.5)
        draw("logits.weight", (CLASSES, LAYERS[-1][2]), 0, 0.5)
        draw("logits.bias", (CLASSES,), 0, 0.5)
        self.values = values
        images = f(f"{seed}.images", (BATCH, HEIGHT, WIDTH, 3)).astype(np.float32)
        self.images = torch.from_numpy(images.astype(np.float64))
        self.labels = torch.tensor([1, 4, 0, 2])
        ends = [(0, 5.2), (0, 6), (0, 5.7), (0, 4.9), (0, 5.99), (-2.5, 3.1)]
        # As after STEPS updates.
        biased = np.array(ends) * (1 - 0.999**STEPS)
        self.biased = torch.from_numpy(biased.astype(np.float32).astype(np.float64))

    def round_weights(self, weights, per_channel):
        if per_channel:
            axes = tuple(range(1, weights.dim()))
            high = weights.detach().abs().amax(axes, keepdim=True)
            low = -high
        else:
            low, high = weights.detach().min(), weights.detach().max()
        # The symmetric range contains all values.
        rounded = FakeQuantize.apply(weights, low, high, 1.0, not per_channel)
        self.weight_scale = (high.clamp(min=0) - low.clamp(max=0)) / 254
        self.rounded.append(rounded.detach())
        return rounded

    def round_activation(self, a, update):
        """In float32 as in TensorFlow, because few steps leave few digits of the correction."""
        biased, steps = self.biased[len(self.updated)].numpy().astype(np.float32), STEPS
        if update:
            batch = np.array([min(a.min().item(), 0), max(a.max().item(), 0)], np.float32)
            biased, steps = biased - (biased - batch) * SHARE, steps + 1
        self.updated.append(torch.from_numpy(biased.astype(np.float64)))
        correction = np.float32(1) - np.float32(np.float64(np.float32(1) - SHARE) ** steps)
        assert biased.dtype == correction.dtype == np.float32
        low, high = torch.from_numpy((biased / correction).astype(np.float64))
        self.scale = (high - low) / 255
        return FakeQuantize.apply(a, low, high, 0.0, True)

    def round_bias(self, bias):
        unit = (self.scale if self.updated else 1 / 128) * self.weight_scale
        levels = (bias / unit).detach()
        check(levels - torch.floor(levels) - 0.5, 5e-3)
        return bias + (torch.round(levels) * unit - bias).detach()

    def run(self, per_channel=False, frozen=False, update=True, images=BATCH):
        self.rounded, self.updated = [], []
        p = {
            name: value.clone().requires_grad_(not name.endswith((".mean", ".variance")))
            for name, value in self.values.items()
        }
        x = self.images[:images].permute(0, 3, 1, 2)
        for name, _, _, stride in LAYERS:
            kernel = p[f"{name}.weight"]
            pads = []
            for size in [x.shape[3], x.shape[2]]:
                total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
                pads += [total // 2, total - total // 2]
            if kernel.shape[2] == 3:
                x = F.pad(x, pads)
            groups = x.shape[1] if "depthwise" in name else 1

            def convolve(weights, x=x, stride=stride, groups=groups):
                return F.conv2d(x, weights, stride=stride, groups=groups)

            gamma, beta = p[f"{name}.gamma"], p[f"{name}.beta"]
            moving_mean = p[f"{name}.mean"]
            moving = 1 / torch.sqrt(p[f"{name}.variance"] + EPSILON)
            z = convolve(kernel)
            mean = z.mean((0, 2, 3))
            variance = (z - mean[:, None, None]).square().mean((0, 2, 3))
            batch = 1 / torch.sqrt(variance + EPSILON)
            multiplier = gamma * batch
            correction = moving / batch
            folded = kernel * correction[:, None, None, None] * multiplier[:, None, None, None]
            y = convolve(self.round_weights(folded, per_channel))
            if frozen:
                y = y + (gamma * (mean * batch - moving_mean * moving))[:, None, None]
            else:
                y = y / correction[:, None, None]
            bias = beta - mean * multiplier
            if not update:
                # The two means of the frozen run cancel.
                offset = gamma * (mean * batch - moving_mean * moving)
                bias = self.round_bias(bias + offset) - offset
            u = y + bias[:, None, None]
            check(u, 2e-5)
            check(u - 6, 2e-5)
            x = self.round_activation(F.relu6(u), update)
        weights = self.round_weights(p["logits.weight"], per_channel)
        features = x.mean((2, 3))
        if not update:
            # Halves are common in means of few values, and go up in both precisions.
            level = features / self.scale
            features = features + (torch.floor(level + 0.5 + 1e-6) * self.scale - features).detach()
        bias = p["logits.bias"] if update else self.round_bias(p["logits.bias"])
        logits = features @ weights.T + bias
        logits = self.round_activation(logits, update)
        loss = F.cross_entropy(logits, self.labels[:images])
        trained = [name for name in self.layout if p[name].requires_grad]
        gradients = dict(zip(trained, torch.autograd.grad(loss, [p[name] for name in trained]), strict=True))
        gradients = [gradients.get(name, torch.zeros_like(p[name])) for name in self.layout]
        return {
            "logits": logits.detach(),
            "biased": torch.stack(self.updated),
            "gradients": torch.cat([gradient.flatten() for gradient in gradients]),
            "weights": torch.cat([weights.flatten() for weights in self.rounded]),
        }, loss.item()


RUNS = {
    "per_tensor": {},
    "per_channel": {"per_channel": True},
    "one_image": {"images": 1},
    "frozen": {"frozen": True},
    "integers": {"frozen": True, "update": False},
}


def main():
    for seed in range(100_000):
        network = Network(seed)
        try:
            results = {name: network.run(**options) for name, options in RUNS.items()}
            break
        except TooClose:
            continue
    print(f"seed {seed}")
    values = network.values
    tensors = {
        "parameters": torch.cat([values[name].flatten() for name in network.layout]),
        "images": network.images,
        "biased": network.biased,
    }
    metadata = {
        "framework": f"torch {torch.__version__.split('+')[0]}",
        "parameters": ",".join(f"{name} {values[name].numel()}" for name in network.layout),
        "labels": ",".join(str(label.item()) for label in network.labels),
        "steps": str(STEPS),
    }
    for name, (found, loss) in results.items():
        print(name, loss, {key: float(value.abs().max()) for key, value in found.items()})
        tensors |= {f"{name}.{key}": value for key, value in found.items()}
        metadata[f"{name}.loss"] = repr(loss)
    tensors = {name: value.numpy().astype(np.float32) for name, value in tensors.items()}
    formula.write("quantized_step.safetensors", tensors, metadata)


if __name__ == "__main__":
    main()

"""Golden gradients of single layers: PyTorch's autograd in float64.

Inputs, weights and cotangents follow from their names by `uniform` of the model's
`formula.py`, so only the results are stored. The loss is sum(output * cotangent). For a case
called NAME the tensors are, all row-major:

    operation   NAME.x            NAME.weight              NAME.cotangent
    depthwise   [B, H, W, C]      [3, 3, C]                [B, OH, OW, C]
    conv        [B, H, W, I]      [3, 3, I, O]             [B, OH, OW, O]
    pointwise   [pixels, I]       [O, I]                   [pixels, O]
    batch_norm  [B, H, W, C]      NAME.gamma, NAME.beta    [B, H, W, C]

Values are `uniform(name, shape)`, exact in f32, but for batch norm, where with u, v, g and b
the values of `NAME.x`, `NAME.offset`, `NAME.gamma` and `NAME.beta`, each rounded to f32 at the
end,

    x = u * 2**-(channel % 5) + 2 * v    gamma = 3 + g    beta = 2.5 + 0.5 * b

so that both clamps of ReLU6 are reached, means are not small, and epsilon (0.001) matters where
the variance is small.

Stored: `NAME.dx`, `NAME.dweight`, and for batch norm `NAME.output`, `.mean`, `.variance`
(biased), `.dx`, `.dgamma`, `.dbeta`; metadata `case.NAME` with the sizes.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parents[2] / "model/tests/golden"))

from formula import uniform, write  # noqa: E402

torch.set_num_threads(1)
EPSILON = 1e-3


def values(name, shape):
    return torch.from_numpy(uniform(name, shape)).requires_grad_()


def rounded(value):
    """The value as f32 has it, in f64."""
    return torch.from_numpy(value.astype(np.float32).astype(np.float64)).requires_grad_()


def pads(size, stride, dilation, padding):
    """Zeros before and after one axis, for a kernel of 3; TensorFlow's SAME, or a number."""
    if padding != "same":
        return padding, padding
    total = max((-(-size // stride) - 1) * stride + 2 * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def convolve(x, weight, stride, dilation, padding, groups):
    """NHWC in and out; `weight` is OIHW."""
    x = x.permute(0, 3, 1, 2)
    top, bottom = pads(x.shape[2], stride, dilation, padding)
    left, right = pads(x.shape[3], stride, dilation, padding)
    y = F.conv2d(F.pad(x, (left, right, top, bottom)), weight, None, stride, 0, dilation, groups)
    return y.permute(0, 2, 3, 1)


def gradients(name, output, inputs):
    """Stores under `NAME.d<input>` what the cotangent of that name gives."""
    cotangent = torch.from_numpy(uniform(f"{name}.cotangent", tuple(output.shape)))
    found = torch.autograd.grad((output * cotangent).sum(), list(inputs.values()))
    return {f"{name}.d{key}": value.numpy() for key, value in zip(inputs, found, strict=True)}


def depthwise(name, batch, height, width, channels, stride, dilation, padding):
    x = values(f"{name}.x", (batch, height, width, channels))
    weight = values(f"{name}.weight", (3, 3, channels))
    kernel = weight.permute(2, 0, 1)[:, None]
    output = convolve(x, kernel, stride, dilation, padding, channels)
    return gradients(name, output, {"x": x, "weight": weight})


def conv(name, batch, height, width, inputs, outputs, stride, dilation, padding):
    x = values(f"{name}.x", (batch, height, width, inputs))
    weight = values(f"{name}.weight", (3, 3, inputs, outputs))
    output = convolve(x, weight.permute(3, 2, 0, 1), stride, dilation, padding, 1)
    return gradients(name, output, {"x": x, "weight": weight})


def pointwise(name, pixels, inputs, outputs):
    x = values(f"{name}.x", (pixels, inputs))
    weight = values(f"{name}.weight", (outputs, inputs))
    return gradients(name, x @ weight.T, {"x": x, "weight": weight})


def batch_norm(name, batch, height, width, channels):
    scale = 0.5 ** (np.arange(channels) % 5)
    offset = uniform(f"{name}.offset", (channels,))
    x = rounded(uniform(f"{name}.x", (batch, height, width, channels)) * scale + 2 * offset)
    gamma = rounded(3 + uniform(f"{name}.gamma", (channels,)))
    beta = rounded(2.5 + 0.5 * uniform(f"{name}.beta", (channels,)))
    linear = F.batch_norm(x.permute(0, 3, 1, 2), None, None, gamma, beta, True, 0.0, EPSILON)
    output = F.relu6(linear.permute(0, 2, 3, 1))
    # In f32 no value may fall on the other side of a clamp.
    distance = min(linear.abs().min().item(), (linear - 6).abs().min().item())
    zero, six = (output == 0).double().mean(), (output == 6).double().mean()
    print(f"{name}: {zero:.0%} zero, {six:.0%} six, nearest to a clamp {distance:.1e}")
    assert distance > 1e-4 and min(zero, six) > 0.02
    stored = gradients(name, output, {"x": x, "gamma": gamma, "beta": beta})
    stored[f"{name}.output"] = output.detach().numpy()
    stored[f"{name}.mean"] = x.detach().mean((0, 1, 2)).numpy()
    stored[f"{name}.variance"] = x.detach().var((0, 1, 2), correction=0).numpy()
    return stored


def cases():
    """Function and sizes of every case."""
    wide = [(1, 1, "same"), (2, 1, "same"), (2, 2, 1)]
    for channels, height, width in [(5, 7, 10), (17, 5, 6)]:
        for stride in [1, 2]:
            for dilation in [1, 2]:
                for padding in ["same", 1]:
                    if channels == 5 or (stride, dilation, padding) in wide:
                        sizes = dict(batch=2, height=height, width=width, channels=channels)
                        yield depthwise, sizes | dict(stride=stride, dilation=dilation, padding=padding)
    for height, width in [(7, 10), (8, 5)]:
        sizes = dict(batch=2, height=height, width=width, inputs=3, outputs=7)
        yield conv, sizes | dict(stride=2, dilation=1, padding="same")
    for pixels, inputs, outputs in [(13, 5, 19), (38, 17, 9)]:
        yield pointwise, dict(pixels=pixels, inputs=inputs, outputs=outputs)
    for height, width, channels in [(5, 3, 5), (3, 4, 17)]:
        yield batch_norm, dict(batch=2, height=height, width=width, channels=channels)


def main():
    tensors = {}
    metadata = {"framework": f"torch {torch.__version__.split('+')[0]}"}
    for index, (operation, sizes) in enumerate(cases()):
        name = f"{operation.__name__}_{index}"
        tensors |= {key: value.astype(np.float32) for key, value in operation(name, **sizes).items()}
        metadata[f"case.{name}"] = " ".join(f"{key}={value}" for key, value in sizes.items())
    write(FOLDER / "backward.safetensors", tensors, metadata)


if __name__ == "__main__":
    main()

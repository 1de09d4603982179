"""Golden values of fake quantisation, as TensorFlow's `fake_quant_with_min_max_vars` computes them.

TensorFlow is not needed: the operation is written here in float32 with numpy, one rounding per
operation, in the order of TensorFlow's kernel (release 2). Compared with TensorFlow 2.21 on
902,400 values, this formula differed in one.

For each RANGE of the metadata's `ranges` ("min max narrow" each), with number N:

    N.grid      scale, zero point, nudged minimum and maximum
    N.output    the rounded `input`
    N.passes    1 where the gradient passes, 0 elsewhere

`input` holds values inside and outside of the ranges, ties and ends among them.
"""

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parents[2] / "model/tests/golden"))

import formula  # noqa: E402

formula.FOLDER = FOLDER
F = np.float32
RANGES = [
    (0.0, 6.0, False),
    (0.0, 5.9997616, False),
    (-6.0, 6.0, False),
    (-0.7, 2.3, True),
    (-1.0, 1.0, True),
    (0.5, 3.0, True),
    (-3.0, -1.0, False),
    (-1e-3, 7e-4, True),
    (0.0, 0.0, True),
]


def nudge(low, high, narrow):
    least, most = F(1 if narrow else 0), F(255)
    low, high = min(F(low), F(0)), max(F(high), F(0))
    scale = (high - low) / (most - least)
    if scale == 0:
        return F(0), least, F(0), F(0)
    # Halves away from zero; zero points are not negative.
    zero = np.clip(np.floor(least - low / scale + F(0.5)), least, most).astype(F)
    return scale, zero, (least - zero) * scale, (most - zero) * scale


def fake_quantize(x, scale, low, high):
    if scale == 0:
        return np.zeros_like(x), np.ones_like(x)
    inverse = F(1) / scale
    zero = np.floor(-low * inverse + F(0.5))
    steps = (np.clip(x, low, high) - low) * inverse - zero + F(0.5)
    assert steps.dtype == F
    return np.floor(steps) * scale, ((low <= x) & (x <= high)).astype(F)


def main():
    inputs = [formula.uniform("input", (53,)).astype(F) * F(8), np.array([0, 6, -6, 1e-30, 1e30], F)]
    grids = [nudge(*limits) for limits in RANGES]
    for scale, _, low, high in grids:
        inputs.append(np.array([low, high, np.nextafter(low, F(-9)), np.nextafter(high, F(9))], F))
        inputs.append((low + scale * np.array([0.5, 1.5, 100.5], F)).astype(F))
    x = np.concatenate(inputs)
    tensors = {"input": x}
    for number, (scale, zero, low, high) in enumerate(grids):
        output, passes = fake_quantize(x, scale, low, high)
        tensors |= {
            f"{number}.grid": np.array([scale, zero, low, high], F),
            f"{number}.output": output,
            f"{number}.passes": passes,
        }
    ranges = ",".join(f"{low!r} {high!r} {int(narrow)}" for low, high, narrow in RANGES)
    formula.write("fake_quantization.safetensors", tensors, {"ranges": ranges})


if __name__ == "__main__":
    main()

"""Numbers that follow from a name, and the writer of the golden files."""

import hashlib
import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent


def normal(name, shape, scale=1.0):
    """f32 values from a normal distribution seeded by the name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    return (np.random.RandomState(seed).randn(*shape) * scale).astype(np.float32)


def numbers(values):
    """Nested lists of the shortest decimals that read back as the same f32 or f64."""
    values = np.asarray(values)
    if values.ndim:
        return [numbers(value) for value in values]
    return float(str(values)) if values.dtype.kind == "f" else values.item()


def write(file_name, frameworks, content):
    versions = {framework.__name__: framework.__version__ for framework in frameworks}
    text = json.dumps({"versions": versions, **content}, indent=None, separators=(",", ":"))
    # One entry a line keeps differences readable.
    text = text.replace('},{"', '},\n{"').replace('],"', '],\n"')
    (FOLDER / file_name).write_text(text + "\n")
    print(f"{file_name}: {len(text)} bytes, {versions}")

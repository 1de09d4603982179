"""PoseNet in numpy, in f64: its network with made weights, and its decoder on made maps. Writes
posenet.json. With arguments POSENET_JSON PHOTO ROWS COLUMNS it prints the people in a photo instead,
by the package's weights. The made people are also those of `decodeMultiplePoses` in the npm package
`@tensorflow-models/posenet` 2.2.2, to all digits."""

import json
import math
import sys
from pathlib import Path

import numpy as np

MASK = (1 << 64) - 1
EDGES = [(0, 1), (1, 3), (0, 2), (2, 4), (0, 5), (5, 7), (7, 9), (5, 11), (11, 13), (13, 15)]
EDGES += [(0, 6), (6, 8), (8, 10), (6, 12), (12, 14), (14, 16)]


def uniform(name, *shape):
    """Values in [-1, 1) that follow from a name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & MASK
    z = np.uint64(seed) + np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(
        0x9E3779B97F4A7C15
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1).reshape(shape)


def convolve(x, weights, bias, stride=1, depthwise=False):
    """TensorFlow's SAME. x [rows, columns, in], weights [rows, columns, in, out]."""
    kernel = weights.shape[0]
    out = [-(-side // stride) for side in x.shape[:2]]
    pad = [max((o - 1) * stride + kernel - side, 0) for o, side in zip(out, x.shape)]
    x = np.pad(x, [(p // 2, p - p // 2) for p in pad] + [(0, 0)])
    y = np.zeros((*out, bias.size)) + bias
    for r in range(kernel):
        for c in range(kernel):
            part = x[r : r + stride * out[0] : stride, c : c + stride * out[1] : stride]
            part = part[: out[0], : out[1]]
            y += part * weights[r, c, :, 0] if depthwise else part @ weights[r, c]
    return y


def network(x, get):
    """Scores, offsets, displacements forward and backward of every cell."""
    relu6 = lambda x: np.clip(x, 0, 6)
    x = relu6(convolve(x, get(55), get(54), 2))
    for block, stride in enumerate([1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1]):
        depthwise, pointwise = 53 - 4 * block, 51 - 4 * block
        x = relu6(convolve(x, get(depthwise), get(depthwise - 1), stride, True))
        x = relu6(convolve(x, get(pointwise), get(pointwise - 1)))
    heads = [convolve(x, get(n), get(n - 1)) for n in (57, 1, 59, 61)]
    return np.concatenate(heads, -1)


def decode(maps, most):
    rows, columns, _ = maps.shape
    heat = 1 / (1 + np.exp(-maps[..., :17]))
    offset, forward, backward = (
        maps[..., a:b].reshape(rows, columns, 2, -1) for a, b in [(17, 51), (51, 83), (83, 115)]
    )

    def cell(point):
        y, x = (math.floor(value / 16 + 0.5) for value in point)
        return min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)

    def refined(y, x, part):
        return np.array([16 * y, 16 * x]) + offset[y, x, :, part]

    def walk(pose, steps, field):
        for edge, start, end in steps:
            if start in pose and end not in pose:
                y, x = cell(pose[start][1])
                point = pose[start][1] + field[y, x, :, edge]
                point = refined(*cell(point), end)
                point = refined(*cell(point), end)
                pose[end] = (heat[*cell(point), end], point)

    padded = np.pad(heat, [(1, 1), (1, 1), (0, 0)], constant_values=-1)
    around = [padded[r : r + rows, c : c + columns] for r in range(3) for c in range(3)]
    is_best = (heat >= 0.5) & (heat == np.max(around, 0))
    candidates = sorted(zip(*np.nonzero(is_best)), key=lambda one: -heat[one])
    poses = []
    for y, x, part in candidates:
        near = lambda part, point: any(math.dist(p[part][1], point) <= 20 for _, p in poses)
        if len(poses) == most or near(part, refined(y, x, part)):
            continue
        pose = {part: (heat[y, x, part], refined(y, x, part))}
        walk(pose, [(e, b, a) for e, (a, b) in list(enumerate(EDGES))[::-1]], backward)
        walk(pose, [(e, a, b) for e, (a, b) in enumerate(EDGES)], forward)
        score = sum(score for part, (score, point) in pose.items() if not near(part, point)) / 17
        poses.append((score, pose))
    number = lambda value: float(f"{value:.7g}")
    return [
        {
            "score": number(score),
            "parts": [[number(v) for v in (pose[n][0], *pose[n][1])] for n in range(17)],
        }
        for score, pose in poses
    ]


def name(n):
    return f"Const_{n}" if n else "Const"


def single(values):
    return values.astype(np.float32).astype(np.float64)


def made_tensor(n):
    """A tensor of the package's shape: odd numbers are weights, even ones their biases."""
    depths = [24, 48, 96, 96, 192, 192] + 8 * [384]
    heads = {61: 32, 59: 32, 57: 17, 1: 34}
    number = n | 1
    if number in heads:
        shape = (1, 1, 384, heads[number])
    elif number == 55:
        shape = (3, 3, 3, 24)
    else:
        block, is_pointwise = divmod((53 - number) // 2, 2)
        shape = (1, 1, *depths[block : block + 2]) if is_pointwise else (3, 3, depths[block], 1)
    is_depthwise = shape[3] == 1
    if n % 2 == 0:
        return single(0.1 * uniform(name(n), shape[2] if is_depthwise else shape[3]))
    products = math.prod(shape[:2] if is_depthwise else shape[:3])
    return single(math.sqrt(6 / products) * uniform(name(n), *shape))


def made_maps(rows, columns):
    maps = uniform(f"maps {rows}x{columns}", rows, columns, 115)
    return single(maps * np.repeat([3.0, 12.0, 40.0], [17, 34, 64]))


def write():
    maps = network(single(uniform("image", 33, 49, 3)), made_tensor)
    content = {
        "versions": {"numpy": np.__version__},
        "network": {"size": [33, 49], "maps": [float(f"{v:.6g}") for v in maps.ravel()]},
        "decoder": [
            {"rows": r, "columns": c, "most": most, "poses": decode(made_maps(r, c), most)}
            for r, c, most in [(9, 11, 6), (5, 17, 40), (1, 1, 3)]
        ],
    }
    text = json.dumps(content, separators=(",", ":")).replace('{"score', '\n{"score')
    (Path(__file__).parent / "posenet.json").write_text(text + "\n")


def show(manifest, photo, rows, columns):
    from PIL import Image

    manifest = Path(manifest)
    values, at, tensors = np.fromfile(manifest.with_suffix(".bin"), np.float32), 0, {}
    for one in json.loads(manifest.read_text())["weightsManifest"][0]["weights"]:
        end = at + math.prod(one["shape"])
        tensors[one["name"]] = values[at:end].reshape(one["shape"]).astype(np.float64)
        at = end
    photo = Image.open(photo).convert("RGB").resize((int(columns), int(rows)), Image.BILINEAR)
    for pose in decode(network(np.asarray(photo) / 127.5 - 1, lambda n: tensors[name(n)]), 10):
        print(json.dumps(pose))


show(*sys.argv[1:]) if sys.argv[1:] else write()

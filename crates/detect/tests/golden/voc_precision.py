"""Writes voc_precision.jsonl: average precision as voc_eval.py of py-faster-rcnn computes it, the Python
form of VOC's own evaluation (rbgirshick/py-faster-rcnn, lib/datasets/voc_eval.py, 45e0da9).

    python voc_precision.py VOC_EVAL.py

Its pixels count from 1 and boxes include their last pixel, so ours are wider and higher by 1.
"""

import json
import os
import re
import sys
import tempfile

import numpy as np

source = open(sys.argv[1]).read()
# From Python 2 to 3.
source = re.sub(r"print '[^']*'\.format\((?:[^()]|\([^()]*\))*\)", "pass", source)
source = source.replace("import cPickle", "import pickle as cPickle").replace("np.bool", "bool")
source = source.replace("open(cachefile, 'w')", "open(cachefile, 'wb')")
source = source.replace("open(cachefile, 'r')", "open(cachefile, 'rb')")
voc = {}
exec(compile(source, sys.argv[1], "exec"), voc)


def case(seed, photos, classes, objects, difficult, shift):
    random = np.random.default_rng(seed)
    truth, found = [], []
    for photo in range(photos):
        for _ in range(random.integers(0, objects + 1)):
            x, y = random.integers(1, 60, 2).tolist()
            w, h = random.integers(5, 40, 2).tolist()
            kind = int(random.integers(0, classes))
            truth.append([photo, kind, x, y, x + w, y + h, bool(random.random() < difficult)])
            for _ in range(random.integers(0, 3)):
                dx, dy, dw, dh = random.integers(-shift, shift + 1, 4).tolist()
                box = [x + dx, y + dy, max(x + w + dw, x + dx), max(y + h + dh, y + dy)]
                found.append([photo, kind, *box, float(random.random())])
        if random.random() < 0.4:
            found.append([photo, int(random.integers(0, classes)), 5, 5, 20, 30, float(random.random())])
    return truth, found


def evaluate(truth, found, photos, classes):
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for photo in range(photos):
            objects = "".join(
                f"<object><name>{c}</name><pose>x</pose><truncated>0</truncated><difficult>{int(d)}</difficult>"
                f"<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
                for p, c, x1, y1, x2, y2, d in truth
                if p == photo
            )
            with open(f"{folder}/{photo}.xml", "w") as file:
                file.write(f"<annotation>{objects}</annotation>")
        with open(f"{folder}/photos.txt", "w") as file:
            file.write("".join(f"{photo}\n" for photo in range(photos)))
        for kind in range(classes):
            lines = [f"{p} {s!r} {a} {b} {c} {d}\n" for p, k, a, b, c, d, s in found if k == kind]
            with open(f"{folder}/{kind}.det", "w") as file:
                file.writelines(lines)
            needed = sum(1 for line in truth if line[1] == kind and not line[6])
            if not needed or not lines:
                results.append(None)
                continue
            both = []
            for eleven in (False, True):
                arguments = [f"{folder}/{{}}.det", f"{folder}/{{}}.xml", f"{folder}/photos.txt", str(kind)]
                cache = os.path.join(folder, "cache")
                both.append(float(voc["voc_eval"](*arguments, cache, 0.5, eleven)[2]))
            results.append(both)
    return results


with open("voc_precision.jsonl", "w") as file:
    for number, (photos, classes, objects, difficult, shift) in enumerate(
        [(1, 1, 3, 0.0, 2), (8, 2, 4, 0.0, 5), (20, 3, 5, 0.2, 5), (40, 4, 6, 0.3, 9), (30, 2, 8, 0.1, 3), (5, 6, 2, 0.5, 4)]
    ):
        truth, found = case(number, photos, classes, objects, difficult, shift)
        results = evaluate(truth, found, photos, classes)
        file.write(json.dumps({"truth": truth, "found": found, "classes": results}) + "\n")

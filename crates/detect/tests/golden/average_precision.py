"""COCO's twelve numbers of made cases, by pycocotools. Writes average_precision.jsonl: a line for each
case with its boxes, and what pycocotools says of them (-1: no such boxes)."""

import contextlib
import io
import json
import os

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

HERE = os.path.dirname(os.path.abspath(__file__))


def evaluated(images, truth, found):
    """truth: image, class, x, y, w, h, area, crowd; found: image, class, x, y, w, h, score."""
    dataset = COCO()
    classes = sorted({one[1] for one in truth} | {one[1] for one in found})
    dataset.dataset = {
        "images": [{"id": number, "width": 640, "height": 480} for number in range(images)],
        "categories": [{"id": number, "name": str(number)} for number in classes],
        "annotations": [
            {
                "id": number,
                "image_id": one[0],
                "category_id": one[1],
                "bbox": one[2:6],
                "area": one[6],
                "iscrowd": int(one[7]),
            }
            for number, one in enumerate(truth, 1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        dataset.createIndex()
        results = dataset.loadRes(
            [
                {"image_id": one[0], "category_id": one[1], "bbox": one[2:6], "score": one[6]}
                for one in found
            ]
        )
        evaluation = COCOeval(dataset, results, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def random_case(random, images, classes, boxes, detections, sizes, score_steps=None, crowds=0.0):
    truth, found = [], []
    for image in range(images):
        for _ in range(random.integers(0, boxes + 1)):
            x, y = random.integers(0, 400), random.integers(0, 300)
            w, h = random.integers(*sizes), random.integers(*sizes)
            share = random.random() * 0.5 + 0.5
            one = [image, int(random.integers(classes)), float(x), float(y), float(w), float(h)]
            truth.append(one + [round(float(w * h * share), 2), bool(random.random() < crowds)])
        for _ in range(random.integers(0, detections + 1)):
            own = [one for one in truth if one[0] == image]
            if own and random.random() < 0.7:
                like = own[random.integers(len(own))]
                shift = random.normal(0, 0.12, 4) * np.array([like[4], like[5], like[4], like[5]])
                box = [round(float(v), 3) for v in np.array(like[2:6]) + shift]
                box[2:] = [max(value, 1.0) for value in box[2:]]
                label = like[1] if random.random() < 0.8 else int(random.integers(classes))
            else:
                box = [float(random.integers(0, 400)), float(random.integers(0, 300))]
                box += [float(random.integers(*sizes)), float(random.integers(*sizes))]
                label = int(random.integers(classes))
            score = float(random.random())
            if score_steps:
                score = round(score * score_steps) / score_steps
            found.append([image, label] + box + [round(score, 4)])
    return images, truth, found


def main():
    random = np.random.default_rng(3)
    plain = [0, 0, 10.0, 10.0, 100.0, 100.0]
    cases = {
        "random": random_case(random, 12, 4, 6, 12, (5, 200)),
        "ties": random_case(random, 10, 3, 6, 15, (10, 150), score_steps=4),
        "crowds": random_case(random, 12, 3, 6, 14, (20, 200), score_steps=20, crowds=0.3),
        "small": random_case(random, 8, 2, 8, 12, (4, 50), crowds=0.1),
        "many": random_case(random, 2, 1, 30, 150, (10, 120), score_steps=50),
        "perfect": (1, [plain + [10000.0, False]], [plain + [0.9]]),
        "nothing found in one": (2, [plain + [10000.0, False], [1] + plain[1:] + [10000.0, False]], [plain + [0.5]]),
        "another class": (1, [plain + [10000.0, False]], [[0, 1] + plain[2:] + [0.9]]),
        "only a crowd": (1, [plain + [10000.0, True]], [plain + [0.9], plain + [0.8]]),
        "twice": (1, [plain + [10000.0, False]], [plain + [0.9], plain + [0.9]]),
        # An overlap of exactly a half, and areas on the borders between sizes.
        "half": (1, [plain + [10000.0, False]], [[0, 0, 10.0, 10.0, 50.0, 100.0, 0.9]]),
        "borders": (
            1,
            [[0, 0, 0.0, 0.0, 32.0, 32.0, 1024.0, False], [0, 0, 200.0, 0.0, 96.0, 96.0, 9216.0, False]],
            [[0, 0, 0.0, 0.0, 32.0, 32.0, 0.9], [0, 0, 200.0, 0.0, 96.0, 96.0, 0.8]],
        ),
    }
    with open(os.path.join(HERE, "average_precision.jsonl"), "w") as file:
        for name, (images, truth, found) in cases.items():
            stats = evaluated(images, truth, found)
            print(name, len(truth), len(found), [round(value, 3) for value in stats])
            file.write(json.dumps({"case": name, "truth": truth, "found": found, "stats": stats}) + "\n")


main()

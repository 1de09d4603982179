"""Writes detection.json: the loss of a single-shot detector and its gradients, by PyTorch.

The parts are the frameworks' own: binary_cross_entropy_with_logits, smooth_l1_loss and their autograd,
torchvision's sigmoid_focal_loss and nms. Which anchors count follows TensorFlow's HardExampleMiner.

    python detection.py
"""

import json
import math

import torch
import torch.nn.functional as F
import torchvision

torch.manual_seed(4)
PHOTOS, COLUMNS = 3, 4

# Anchors: centre and size, on a grid of 5 x 5 with two sizes.
ANCHORS = [
    [(y + 0.5) / 5, (x + 0.5) / 5, size, size * stretch]
    for y in range(5)
    for x in range(5)
    for size, stretch in [(0.25, 1.0), (0.4, 1.5)]
]
# Class and corners of each photo's objects; the last photo has none.
OBJECTS = [
    [[0, [0.1, 0.1, 0.4, 0.35]], [2, [0.5, 0.3, 0.9, 0.95]], [1, [0.48, 0.52, 0.52, 0.56]]],
    [[1, [0.55, 0.05, 0.95, 0.6]]],
    [],
]


def f32(values):
    return torch.tensor(values, dtype=torch.float32).double()


anchors = f32(ANCHORS)
scores = torch.randn(PHOTOS, len(ANCHORS), COLUMNS).mul(1.5).double()
encodings = torch.randn(PHOTOS, len(ANCHORS), 4).double()
# Two equal boxes, of which one is dropped.
encodings[:, 1] = torch.tensor([0.0, 0.0, 5 * math.log(0.5), 5 * math.log(0.5)])
encodings[:, 0] = torch.tensor([0.0, 0.0, 5 * math.log(0.4 / 0.25 * 0.5), 5 * math.log(0.6 / 0.25 * 0.5)])
encodings = encodings.float().double()


def corners(boxes):
    y, x, h, w = boxes.unbind(-1)
    return torch.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], -1)


def decode(codes):
    y, x, h, w = (codes / torch.tensor([10.0, 10.0, 5.0, 5.0])).unbind(-1)
    ya, xa, ha, wa = anchors.unbind(-1)
    return corners(torch.stack([y * ha + ya, x * wa + xa, h.exp() * ha, w.exp() * wa], -1))


def targets(objects):
    columns = torch.zeros(len(ANCHORS), dtype=torch.long)
    codes = torch.zeros(len(ANCHORS), 4, dtype=torch.double)
    if not objects:
        return columns, codes
    boxes = f32([box for _, box in objects])
    overlaps = torchvision.ops.box_iou(boxes, corners(anchors))
    best, owner = overlaps.max(0)
    owner[best < 0.5] = -1
    for number in reversed(range(len(objects))):
        owner[overlaps[number].argmax()] = number
    for index, number in enumerate(owner.tolist()):
        if number >= 0:
            columns[index] = objects[number][0] + 1
            (top, left, bottom, right), (y, x, h, w) = boxes[number], anchors[index]
            codes[index] = torch.stack(
                [
                    10 * ((top + bottom) / 2 - y) / h,
                    10 * ((left + right) / 2 - x) / w,
                    5 * ((bottom - top) / h).log(),
                    5 * ((right - left) / w).log(),
                ]
            )
    return columns, codes


MATCHED = [targets(objects) for objects in OBJECTS]


def selected(class_losses, columns, codes):
    """Anchors that count, by torchvision's nms in the order of the losses."""
    kept = torchvision.ops.nms(decode(codes.detach()), class_losses.detach(), 0.99).tolist()
    positives = sum(int(columns[index] > 0) for index in kept)
    chosen, negatives = [], 0
    for index in kept:
        if columns[index] > 0:
            chosen.append(index)
        elif negatives < 3 * positives:
            chosen.append(index)
            negatives += 1
    return torch.tensor(chosen, dtype=torch.long)


def case(name, focal, background, box_weight):
    s, e = scores.clone().requires_grad_(), encodings.clone().requires_grad_()
    positives = max(sum(int((columns > 0).sum()) for columns, _ in MATCHED), 1)
    classes = boxes = 0.0
    counting = []
    for photo, (columns, codes) in enumerate(MATCHED):
        wanted = F.one_hot(columns, COLUMNS).double()
        if not background:
            wanted[:, 0] = 0
        if focal:
            each = torchvision.ops.sigmoid_focal_loss(s[photo], wanted, alpha=0.75, gamma=2.0).sum(-1)
            counts = torch.arange(len(ANCHORS))
        else:
            each = F.binary_cross_entropy_with_logits(s[photo], wanted, reduction="none").sum(-1)
            counts = selected(each, columns, e[photo])
        counting.append(counts.tolist())
        of_box = F.smooth_l1_loss(e[photo], codes, reduction="none").sum(-1) * (columns > 0)
        classes = classes + each[counts].sum()
        boxes = boxes + box_weight * of_box[counts].sum()
    classes, boxes = classes / positives, boxes / positives
    (classes + boxes).backward()
    return {
        "name": name,
        "focal": focal,
        "learns_background": background,
        "box_weight": box_weight,
        "classes": classes.item(),
        "boxes": boxes.item(),
        "positives": positives,
        "counting": counting,
        "score_gradients": s.grad.flatten().tolist(),
        "encoding_gradients": e.grad.reshape(-1, 4).tolist(),
    }


golden = {
    "anchors": anchors.tolist(),
    "objects": OBJECTS,
    "columns": [columns.tolist() for columns, _ in MATCHED],
    "encoding_targets": [codes.tolist() for _, codes in MATCHED],
    "scores": scores.flatten().tolist(),
    "encodings": encodings.reshape(-1, 4).tolist(),
    "cases": [
        case("hard negatives", False, True, 1.0),
        case("hard negatives without a background", False, False, 1.0),
        case("focal", True, False, 0.25),
        case("focal with a background", True, True, 1.0),
    ],
}
with open("detection.json", "w") as file:
    json.dump(golden, file)

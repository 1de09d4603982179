"""places.json: cells, a partition and distances by s2sphere, a port of Google's S2 library."""

import numpy as np
import s2sphere

from formula import write

random = np.random.RandomState(11)
# Photos gather around a few places; some are anywhere, at the poles, and at the edges of the faces.
centres = random.uniform([-80, -180], [80, 180], (12, 2))
near = centres[random.randint(0, 12, 500)] + random.randn(500, 2) * 2.0
anywhere = random.uniform([-90, -180], [90, 180], (88, 2))
special = [[90, 0], [-90, 17], [0, 0], [0, 45], [0, -45], [0, 180], [0, -180], [45, 90], [35.3, 45]]
places = np.concatenate([near, anywhere, special])
places[:, 0] = places[:, 0].clip(-90, 90)
places[:, 1] = (places[:, 1] + 180) % 360 - 180
places = places.round(5)
points = [s2sphere.LatLng.from_degrees(*place) for place in places.tolist()]
leaves = [s2sphere.CellId.from_lat_lng(point) for point in points]

LEAST, MOST = 5, 40


def divide(cell):
    inside = sum(cell.contains(leaf) for leaf in leaves)
    if inside < LEAST:
        return []
    if inside > MOST and not cell.is_leaf():
        return [one for child in cell.children() for one in divide(child)]
    return [cell]


faces = [s2sphere.CellId.from_face_pos_level(face, 0, 0) for face in range(6)]
cells = sorted(one for face in faces for one in divide(face))


def degrees(point):
    return [point.lat().degrees, point.lng().degrees]


write(
    "places.json",
    [np],
    {
        "places": places.tolist(),
        "leaves": [leaf.to_token() for leaf in leaves],
        "least": LEAST,
        "most": MOST,
        "cells": [cell.to_token() for cell in cells],
        "levels": [cell.level() for cell in cells],
        "centres": [degrees(cell.to_lat_lng()) for cell in cells],
        "inside": [
            next((n for n, cell in enumerate(cells) if cell.contains(leaf)), None)
            for leaf in leaves
        ],
        # From each place to the next, on a ball of 6371 km.
        "kilometres": [
            a.get_distance(b).radians * 6371.0 for a, b in zip(points, points[1:])
        ],
    },
)

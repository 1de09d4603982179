"""Writes lists for the recipes of heads from a folder of class folders with photos, in train/ and test/.

    python heads_data.py flowers lists

* mosaics.csv, mosaics_test.csv: made photos of four quarters with one, two or three kinds, and their kinds
* known.csv, unknown.csv: photos with labels; the last third of the kinds is in the second list only
* places.csv, places_test.csv: each kind has a made home city, and its photos places up to 100 km around
* noisy.csv, clean.csv, clean_test.csv: all photos with 40 % wrong labels; eight of each kind without
"""

import argparse
import random
from pathlib import Path

from PIL import Image

CITIES = [(52.5, 13.4), (-33.9, 151.2), (40.7, -74.0), (-1.3, 36.8), (35.7, 139.7), (-23.5, -46.6),
          (55.8, 37.6), (19.1, 72.9), (64.1, -21.9), (37.8, -122.4), (-36.8, 174.8), (30.0, 31.2)]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data", type=Path)
parser.add_argument("out", type=Path)
arguments = parser.parse_args()
rng = random.Random(5)
out = arguments.out
out.mkdir(parents=True, exist_ok=True)
kinds = sorted(folder.name for folder in (arguments.data / "train").iterdir())
photos = {
    part: [(path.resolve(), kind) for kind in kinds
           for path in sorted((arguments.data / part / kind).glob("*.jpg"))]
    for part in ["train", "test"]
}


def write(name, header, rows):
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    (out / f"{name}.csv").write_text("\n".join(lines) + "\n")


def mosaic(part, number):
    chosen = rng.sample(photos[part], rng.randint(1, 3))
    quarters = chosen + [rng.choice(chosen) for _ in range(4 - len(chosen))]
    rng.shuffle(quarters)
    picture = Image.new("RGB", (224, 224))
    for place, (path, _) in enumerate(quarters):
        quarter = Image.open(path).convert("RGB").resize((112, 112))
        picture.paste(quarter, (112 * (place % 2), 112 * (place // 2)))
    path = out / "mosaics" / f"{part}_{number:04}.jpg"
    path.parent.mkdir(exist_ok=True)
    picture.save(path, quality=92)
    return path.resolve(), "|".join(sorted({kind for _, kind in chosen}))


def place(kind):
    latitude, longitude = CITIES[kinds.index(kind) % len(CITIES)]
    return round(latitude + rng.uniform(-0.9, 0.9), 4), round(longitude + rng.uniform(-0.9, 0.9), 4)


def other(kind):
    return rng.choice([one for one in kinds if one != kind])


train, test = photos["train"], photos["test"]
write("mosaics", "photo,labels", [mosaic("train", n) for n in range(600)])
write("mosaics_test", "photo,labels", [mosaic("test", n) for n in range(150)])
known = kinds[: len(kinds) * 2 // 3]
write("known", "path,label", [row for row in train + test if row[1] in known])
write("unknown", "path,label", [row for row in train + test if row[1] not in known])
header = "photo,latitude,longitude"
write("places", header, [(path, *place(kind)) for path, kind in train])
write("places_test", header, [(path, *place(kind)) for path, kind in test])
noisy = [(path, other(kind) if rng.random() < 0.4 else kind) for path, kind in train]
write("noisy", "path,label", noisy)
write("clean", "path,label", [row for kind in kinds for row in [r for r in train if r[1] == kind][:8]])
write("clean_test", "path,label", test)

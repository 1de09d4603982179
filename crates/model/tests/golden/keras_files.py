"""Files that Keras writes, of every kind, in one archive: HDF5 is mostly zeros.

Keras' own network, one as people write it themselves, and Keras' own inside another. Their weights
are coarse so that the archive is small; the logits are in `keras_files.safetensors`.
"""

import os
import tempfile
import zipfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import h5py
import keras
import numpy as np
from keras import layers
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from formula import FOLDER, image_batch, uniform, write
from keras_model import FRAMEWORK

# At least two channels in every layer, so that the image shows in the logits.
ALPHA = 1 / 16
WIDTHS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]


def gain(kernel):
    """The power of two next to He's bound: [3, 3, C, 1] is depthwise, [in, out] is dense."""
    inputs = np.prod(kernel.shape[:2] if "depthwise" in kernel.path else kernel.shape[:-1])
    return 2.0 ** np.round(np.log2(np.sqrt(6.0 / inputs)))


def randomize(model, name, images):
    """Coarse weights from names, and near what batch norm sees: no layer is dead or saturated."""
    for index, variable in enumerate(model.weights):
        u = np.round(uniform(f"{name}/{index}", variable.shape) * 4) / 4
        kind = variable.path.split("/")[-1]
        value = {
            "gamma": lambda: 1 + u / 4,
            "beta": lambda: (1 + u) / 4,
            "bias": lambda: u / 4,
        }.get(kind, lambda: u * gain(variable))
        variable.assign(value().astype(np.float32))
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
            layer.trainable = True
    # The body of `transfer` is called with training=False, so each network is run by itself.
    for network in [layer for layer in model.layers if isinstance(layer, keras.Model)] or [model]:
        network(images, training=True)
    for variable in model.weights:
        if "moving" in variable.path:
            rounded = np.round(variable.numpy() * 64) / 64
            variable.assign(np.maximum(rounded, 1 / 64) if "variance" in variable.path else rounded)


def hand_written(side, alpha=ALPHA, classes=3):
    """As MLPerf Tiny's: names that count, biases beside batch norm, ReLU, a Dense classifier."""
    image = x = keras.Input((side, side, 3))
    x = layers.Conv2D(max(int(32 * alpha), 1), 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization(epsilon=2e-3)(x)
    x = layers.Activation("relu")(x)
    for depth, stride in WIDTHS:
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same")(x)
        x = layers.BatchNormalization(epsilon=2e-3)(x)
        x = layers.Activation("relu")(x)
        x = layers.Conv2D(int(depth * alpha), 1, padding="same")(x)
        x = layers.BatchNormalization(epsilon=2e-3)(x)
        x = layers.Activation("relu")(x)
    x = layers.AveragePooling2D(x.shape[1:3])(x)
    x = layers.Flatten()(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x))


def transfer(side, alpha=ALPHA, classes=5):
    """As in Keras' guide to transfer learning: the network without its top inside another."""
    body = keras.applications.MobileNet((side, side, 3), alpha=alpha, weights=None, include_top=False)
    image = keras.Input((side, side, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = body(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(image, layers.Dense(classes)(x))


def logits(model, images):
    if model.layers[-1].activation is keras.activations.softmax:
        model.layers[-1].activation = keras.activations.linear
    return np.asarray(model(images, training=False))


def save_compressed(model, path):
    """`save_weights("x.h5")` of Keras 2, which Keras 3 can still write; then as h5py stores where
    asked: chunked, shuffled, deflated, with checksums."""
    with h5py.File("plain", "w", driver="core", backing_store=False) as plain, h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(plain, model)
        compress(plain, file)


def compress(source, target):
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            compress(item, target.create_group(name))
        else:
            # Chunks that do not divide the sizes.
            chunks = tuple(max(1, size - size // 3) for size in item.shape)
            options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
            target.create_dataset(name, data=item[...], chunks=chunks, **options)


def main():
    images = image_batch(96, 96).transpose(0, 2, 3, 1)
    # Noise averages out; this tells the images apart.
    images[1] = images[1] / 4 + 0.5
    tiny = keras.applications.MobileNet(
        (96, 96, 3), alpha=ALPHA, weights=None, classes=10, classifier_activation=None
    )
    randomize(tiny, "tiny", images)
    own = hand_written(96)
    randomize(own, "hand_written", images)
    learned = transfer(96)
    randomize(learned, "transfer", images)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        tiny.save(folder / "tiny.h5")
        tiny.save_weights(folder / "tiny.weights.h5")
        own.save(folder / "hand_written.keras")
        learned.save(folder / "transfer.h5")
        learned.save(folder / "transfer.keras")
        save_compressed(tiny, folder / "compressed_weights.h5")
        with zipfile.ZipFile(FOLDER / "keras_files.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(folder.iterdir()):
                print(path.name, path.stat().st_size)
                info = zipfile.ZipInfo(path.name)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, path.read_bytes())
    results = {
        "tiny": logits(tiny, images),
        "hand_written": logits(own, images),
        # Its own first layer brings [0, 255] to [-1, 1].
        "transfer": logits(learned, (images + 1) * 127.5),
    }
    for name, value in results.items():
        print(name, value)
    write("keras_files.safetensors", results, {"framework": FRAMEWORK})


if __name__ == "__main__":
    main()

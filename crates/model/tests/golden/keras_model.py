"""Golden outputs and a small real file of keras.applications.MobileNet."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from formula import ENDPOINTS, TINY_ALPHA, image_batch, layer_names, network_weights, save_golden, write

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
FRAMEWORK = f"keras {keras.__version__}, tensorflow {tf.__version__}"


def keras_name(endpoint):
    """Conv2d_0 -> conv1, Conv2d_3_depthwise -> conv_dw_3, Conv2d_3_pointwise -> conv_pw_3."""
    if endpoint == "Conv2d_0":
        return "conv1"
    _, block, kind = endpoint.split("_")
    return f"conv_{'dw' if kind == 'depthwise' else 'pw'}_{block}"


def build(alpha, classes, height, width, channel_multiplier=1):
    model = keras.applications.MobileNet(
        input_shape=(height, width, 3),
        alpha=alpha,
        depth_multiplier=channel_multiplier,
        weights=None,
        classes=classes,
        include_top=True,
        classifier_activation=None,
    )
    # Keras has no lower limit of channels.
    weights = network_weights(alpha, classes, min_depth=1, channel_multiplier=channel_multiplier)
    for name in layer_names():
        kernel = weights.pop(f"{name}.weight")
        if name.endswith("depthwise"):
            # [C * m, 1, 3, 3] -> [3, 3, C, m]: output channel c * m + j is kernel [:, :, c, j].
            kernel = kernel.reshape(-1, channel_multiplier, 3, 3).transpose(2, 3, 0, 1)
        else:
            kernel = kernel.transpose(2, 3, 1, 0)
        model.get_layer(keras_name(name)).set_weights([kernel])
        batch_norm = model.get_layer(f"{keras_name(name)}_bn")
        values = {
            "gamma": weights.pop(f"{name}.batch_norm.weight"),
            "beta": weights.pop(f"{name}.batch_norm.bias"),
            "moving_mean": weights.pop(f"{name}.batch_norm.running_mean"),
            "moving_variance": weights.pop(f"{name}.batch_norm.running_var"),
        }
        batch_norm.set_weights([values[variable.name] for variable in batch_norm.weights])
    kernel = weights.pop("Logits.Conv2d_1c_1x1.weight").transpose(2, 3, 1, 0)
    model.get_layer("conv_preds").set_weights([kernel, weights.pop("Logits.Conv2d_1c_1x1.bias")])
    assert not weights
    return model


def golden(model, alpha, file_name):
    outputs = [model.get_layer(f"{keras_name(name)}_relu").output for name in ENDPOINTS]
    _, height, width, _ = model.input_shape
    images = image_batch(height, width).transpose(0, 2, 3, 1)
    logits, *activations = keras.Model(model.input, [model.output, *outputs])(images, training=False)
    activations = [activation.numpy().transpose(0, 3, 1, 2) for activation in activations]
    save_golden(file_name, FRAMEWORK, alpha, logits.numpy(), dict(zip(ENDPOINTS, activations, strict=True)))


def main():
    for height, width in [(128, 128), (75, 101)]:
        golden(build(0.25, 1000, height, width), 0.25, f"keras_0.25_{height}x{width}.safetensors")
    golden(build(0.25, 1000, 96, 96, channel_multiplier=2), 0.25, "keras_0.25_multiplier2_96x96.safetensors")

    tiny = build(TINY_ALPHA, 10, 96, 96)
    variables = {
        f"{layer.name}/{variable.name}": variable.numpy()
        for layer in tiny.layers
        for variable in layer.weights
    }
    write("keras_tiny.safetensors", variables, {"framework": FRAMEWORK})
    golden(tiny, TINY_ALPHA, "keras_tiny_96x96.safetensors")


if __name__ == "__main__":
    main()

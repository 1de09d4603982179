"""Logits of SqueezeNet and Inception V3 (torchvision), Xception (Keras) and a MobileNet of flattened
convolutions (PyTorch, after the formula of its paper, because no framework has it).

KERAS_BACKEND=torch python prior_networks.py
"""

import keras
import numpy as np
import torch
import torchvision
from torch import nn

from formula import DEPTHS, image_batch, weight, write

torch.set_num_threads(1)
HEIGHT, WIDTH, CLASSES = 75, 101, 1000
STRIDES = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]


def images():
    return torch.from_numpy(image_batch(HEIGHT, WIDTH))


def fill(module, name):
    """Sets a convolution's parameters by their names in our network."""
    module.weight.copy_(torch.from_numpy(weight(f"{name}.weight", tuple(module.weight.shape))))
    if module.bias is not None:
        module.bias.copy_(torch.from_numpy(weight(f"{name}.bias", tuple(module.bias.shape))))


def fill_batch_norm(module, name):
    assert module.eps == 1e-3
    for part in ["weight", "bias", "running_mean", "running_var"]:
        value = getattr(module, part)
        value.copy_(torch.from_numpy(weight(f"{name}.batch_norm.{part}", tuple(value.shape))))


@torch.no_grad()
def torchvision_logits(model):
    """For models whose layers have the names that ours have."""
    model.eval()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            fill(module, name.removesuffix(".conv"))
        elif isinstance(module, nn.BatchNorm2d):
            fill_batch_norm(module, name.removesuffix(".bn"))
        elif isinstance(module, nn.Linear):
            shape = (*module.weight.shape, 1, 1)
            module.weight.copy_(torch.from_numpy(weight(f"{name}.weight", shape)).flatten(1))
            module.bias.copy_(torch.from_numpy(weight(f"{name}.bias", tuple(module.bias.shape))))
    return model(images()).numpy()


def flattened_model():
    layers, channels = nn.Sequential(), 3
    for block, (depth, stride) in enumerate(zip(DEPTHS, STRIDES, strict=True)):
        for cascade, step in enumerate([stride, 1]):
            name = f"block{block}:{cascade}:"
            layers.add_module(name + "channels", nn.Conv2d(channels, depth, 1))
            rows = nn.Conv2d(depth, depth, (3, 1), padding=(1, 0), groups=depth)
            layers.add_module(name + "rows", rows)
            columns = nn.Conv2d(depth, depth, (1, 3), step, (0, 1), groups=depth)
            layers.add_module(name + "columns", columns)
            channels = depth
        layers.add_module(f"relu{block}", nn.ReLU())
    layers.add_module("pool", nn.AdaptiveAvgPool2d(1))
    layers.add_module("logits", nn.Conv2d(channels, CLASSES, 1))
    return layers


@torch.no_grad()
def flattened_logits():
    model = flattened_model()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            fill(module, name.replace(":", "."))
    return model(images()).flatten(1).numpy()


def xception_logits():
    # Without the softmax, so that the outputs are logits.
    model = keras.applications.Xception(
        weights=None, input_shape=(HEIGHT, WIDTH, 3), classes=CLASSES, classifier_activation=None
    )
    # The convolutions beside the blocks have no names of their own.
    residuals = iter(f"block{block}_residual" for block in [2, 3, 4, 13])
    beside = iter(f"block{block}_residual" for block in [2, 3, 4, 13])
    for layer in model.layers:
        kind, name = type(layer).__name__, layer.name
        if kind == "Conv2D":
            ours = name if name.startswith("block") else next(residuals)
            rows, columns, inputs, outputs = layer.kernel.shape
            value = weight(f"{ours}.weight", (outputs, inputs, rows, columns))
            layer.set_weights([value.transpose(2, 3, 1, 0)])
        elif kind == "SeparableConv2D":
            rows, columns, inputs, _ = layer.depthwise_kernel.shape
            outputs = layer.pointwise_kernel.shape[-1]
            depthwise = weight(f"{name}.depthwise.weight", (inputs, 1, rows, columns))
            pointwise = weight(f"{name}.pointwise.weight", (outputs, inputs, 1, 1))
            layer.set_weights([depthwise.transpose(2, 3, 0, 1), pointwise.transpose(2, 3, 1, 0)])
        elif kind == "BatchNormalization":
            assert layer.epsilon == 1e-3
            ours = name.removesuffix("_bn") if name.startswith("block") else next(beside)
            if "sepconv" in ours:
                ours += ".pointwise"
            parts = ["weight", "bias", "running_mean", "running_var"]
            shape = tuple(layer.gamma.shape)
            layer.set_weights([weight(f"{ours}.batch_norm.{part}", shape) for part in parts])
        elif kind == "Dense":
            inputs, outputs = layer.kernel.shape
            value = weight(f"{name}.weight", (outputs, inputs, 1, 1))
            layer.set_weights([value.reshape(outputs, inputs).T, weight(f"{name}.bias", (outputs,))])
        else:
            assert not layer.weights, name
    assert next(residuals, None) is None and next(beside, None) is None
    return np.asarray(model.predict(image_batch(HEIGHT, WIDTH).transpose(0, 2, 3, 1), verbose=0))


def main():
    models = torchvision.models
    logits = {
        "squeezenet1_0": torchvision_logits(models.squeezenet1_0()),
        "squeezenet1_1": torchvision_logits(models.squeezenet1_1()),
        "inception_v3": torchvision_logits(models.inception_v3(aux_logits=False, init_weights=False)),
        "xception": xception_logits(),
        "flattened_mobilenet": flattened_logits(),
    }
    for name, values in logits.items():
        largest, difference = abs(values).max(), abs(values[0] - values[1]).max()
        print(f"{name} {values.shape}: largest {largest:.3g}, between the images {difference:.3g}")
    versions = f"torch {torch.__version__.split('+')[0]}, torchvision {torchvision.__version__.split('+')[0]}, keras {keras.__version__}"
    size = f"{HEIGHT}x{WIDTH}"
    write("prior_networks.safetensors", logits, {"framework": versions, "size": size})


if __name__ == "__main__":
    main()

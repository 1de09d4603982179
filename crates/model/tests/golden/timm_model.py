"""Golden outputs and small real files of the timm MobileNetV1 (mobilenetv1_100 layout)."""

import timm
import torch
from safetensors.torch import save_file
from timm.models.efficientnet import _gen_mobilenet_v1

from formula import ENDPOINTS, FOLDER, TINY_ALPHA, image_batch, layer_names, network_weights, save_golden

torch.set_num_threads(1)
FRAMEWORK = f"timm {timm.__version__}, torch {torch.__version__.split('+')[0]}"
PARTS = ["weight", "bias", "running_mean", "running_var"]


def layers(model):
    """(convolution, batch norm with activation) by slim endpoint name."""
    pairs = [(model.conv_stem, model.bn1)]
    for stage in model.blocks:
        for block in stage:
            pairs += [(block.conv_dw, block.bn1), (block.conv_pw, block.bn2)]
    return dict(zip(layer_names(), pairs, strict=True))


def build(alpha, classes):
    model = _gen_mobilenet_v1("mobilenetv1_100", channel_multiplier=alpha, num_classes=classes).eval()
    weights = {name: torch.from_numpy(value) for name, value in network_weights(alpha, classes).items()}
    with torch.no_grad():
        for name, (convolution, batch_norm) in layers(model).items():
            assert convolution.padding in [(0, 0), (1, 1)] and batch_norm.eps == 1e-5
            value = weights.pop(f"{name}.weight")
            assert convolution.weight.shape == value.shape, name
            convolution.weight.copy_(value)
            for part in PARTS:
                getattr(batch_norm, part).copy_(weights.pop(f"{name}.batch_norm.{part}"))
        model.classifier.weight.copy_(weights.pop("Logits.Conv2d_1c_1x1.weight").flatten(1))
        model.classifier.bias.copy_(weights.pop("Logits.Conv2d_1c_1x1.bias"))
    assert not weights
    return model


def golden(model, alpha, height, width, file_name):
    outputs = {}
    hooks = [
        batch_norm.register_forward_hook(
            lambda _layer, _inputs, output, name=name: outputs.update({name: output.clone().numpy()})
        )
        for name, (_, batch_norm) in layers(model).items()
        if name in ENDPOINTS
    ]
    with torch.no_grad():
        logits = model(torch.from_numpy(image_batch(height, width))).numpy()
    for hook in hooks:
        hook.remove()
    save_golden(file_name, FRAMEWORK, alpha, logits, outputs)


def main():
    model = build(0.25, 1000)
    for height, width in [(128, 128), (75, 101)]:
        golden(model, 0.25, height, width, f"timm_0.25_{height}x{width}.safetensors")

    tiny = build(TINY_ALPHA, 10)
    save_file(tiny.state_dict(), FOLDER / "timm_tiny.safetensors", {"framework": FRAMEWORK})
    torch.save(tiny.state_dict(), FOLDER / "timm_tiny.pth")
    golden(tiny, TINY_ALPHA, 96, 96, "timm_tiny_96x96.safetensors")


if __name__ == "__main__":
    main()

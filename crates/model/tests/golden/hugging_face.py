"""Golden outputs and small real files of the transformers MobileNetV1."""

import torch
import transformers
from transformers import MobileNetV1Config, MobileNetV1ForImageClassification, MobileNetV1ImageProcessor

from formula import ENDPOINTS, FOLDER, TINY_ALPHA, image_batch, layer_names, network_weights, save_golden

torch.set_num_threads(1)
FRAMEWORK = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
PARTS = ["weight", "bias", "running_mean", "running_var"]


def layers(model):
    """The convolution layers by slim endpoint name."""
    body = model.mobilenet_v1
    return dict(zip(layer_names(), [body.conv_stem, *body.layer], strict=True))


def build(alpha, classes, **config):
    config = MobileNetV1Config(depth_multiplier=alpha, tf_padding=True, num_labels=classes, **config)
    model = MobileNetV1ForImageClassification(config).eval()
    weights = {name: torch.from_numpy(value) for name, value in network_weights(alpha, classes).items()}
    with torch.no_grad():
        for name, layer in layers(model).items():
            layer.convolution.weight.copy_(weights.pop(f"{name}.weight"))
            for part in PARTS:
                getattr(layer.normalization, part).copy_(weights.pop(f"{name}.batch_norm.{part}"))
        model.classifier.weight.copy_(weights.pop("Logits.Conv2d_1c_1x1.weight").flatten(1))
        model.classifier.bias.copy_(weights.pop("Logits.Conv2d_1c_1x1.bias"))
    assert not weights
    return model


def golden(model, height, width, file_name):
    outputs = {}
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output, name=name: outputs.update({name: output.numpy()}))
        for name, layer in layers(model).items()
        if name in ENDPOINTS
    ]
    with torch.no_grad():
        logits = model(torch.from_numpy(image_batch(height, width))).logits.numpy()
    for hook in hooks:
        hook.remove()
    save_golden(file_name, FRAMEWORK, model.config.depth_multiplier, logits, outputs)


def main():
    for alpha in [0.25, 0.5]:
        model = build(alpha, 1001)
        for height, width in [(128, 128), (75, 101)]:
            golden(model, height, width, f"hugging_face_{alpha}_{height}x{width}.safetensors")

    tiny = build(TINY_ALPHA, 10, image_size=96)
    tiny.save_pretrained(FOLDER / "hugging_face_tiny")
    MobileNetV1ImageProcessor(
        size={"shortest_edge": 112}, crop_size={"height": 96, "width": 96}
    ).save_pretrained(FOLDER / "hugging_face_tiny")
    torch.save(tiny.state_dict(), FOLDER / "hugging_face_tiny.bin")
    golden(tiny, 96, 96, "hugging_face_tiny_96x96.safetensors")


if __name__ == "__main__":
    main()

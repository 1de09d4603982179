"""A checkpoint as training programs wrote them before PyTorch 1.6: no zip, the state dict of timm's
model under a key, from DataParallel (`module.`), with averages and the optimiser's state beside it.

timm_legacy.tar   the file
timm_64x64        logits of the model and of its averages
"""

import torch

from formula import FOLDER, image_batch, write
from timm_model import FRAMEWORK, build

ALPHA = 1 / 64
SIZE = 64


def main():
    model = build(ALPHA, 10)
    images = torch.from_numpy(image_batch(SIZE, SIZE))
    raw = {f"module.{name}": value.clone() for name, value in model.state_dict().items()}
    # A view of a larger tensor, and half precision, as state dicts may hold them.
    name = "module.blocks.4.1.conv_pw.weight"
    raw[name] = torch.stack([raw[name], torch.zeros_like(raw[name])], dim=-1)[..., 0]
    with torch.no_grad():
        results = {"logits": model(images).numpy()}
        averages = {name: value * 0.9375 for name, value in model.state_dict().items() if value.is_floating_point()}
        averages = {name: value.half() if "conv_pw" in name else value for name, value in averages.items()}
        model.load_state_dict(averages, strict=False)
        results["logits_of_averages"] = model(images).numpy()
    optimizer = torch.optim.SGD([model.classifier.bias], lr=0.1, momentum=0.9)
    model.classifier.bias.grad = torch.ones_like(model.classifier.bias)
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "arch": "mobilenetv1_100",
        "best_acc1": 61.25,
        "state_dict": raw,
        "state_dict_ema": averages,
        "optimizer": optimizer.state_dict(),
    }
    torch.save(checkpoint, FOLDER / "timm_legacy.tar", _use_new_zipfile_serialization=False)
    for name, values in results.items():
        print(name, values.round(3).tolist()[0])
    write("timm_64x64.safetensors", results, {"framework": FRAMEWORK, "alpha": str(ALPHA)})


if __name__ == "__main__":
    main()

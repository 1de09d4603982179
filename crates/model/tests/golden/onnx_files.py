"""ONNX files of PyTorch's exporters, and their logits as PyTorch computes them.

transformers (SAME, as padding nodes) and timm (1 on each side); batch norm as nodes and folded.
Weights are coarse so that the archive is small; each file's input is the formula's.
"""

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers
import timm
from transformers import MobileNetV1Config, MobileNetV1ForImageClassification

from formula import FOLDER, image_batch, uniform, write
from timm.models.efficientnet import _gen_mobilenet_v1

ALPHA = 1 / 32
FRAMEWORK = (
    f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}, timm {timm.__version__}, "
    f"onnx {onnx.__version__}"
)


def images():
    batch = image_batch(96, 96)
    # Noise averages out; this tells the images apart.
    batch[1] = batch[1] / 4 + 0.5
    return torch.from_numpy(batch)


def randomize(model, name):
    """Coarse weights from names, and near what batch norm sees: no layer is dead or saturated."""
    with torch.no_grad():
        for index, (key, value) in enumerate(model.named_parameters()):
            u = torch.from_numpy(np.round(uniform(f"{name}/{index}", value.shape) * 4) / 4)
            if value.dim() > 1:
                value.copy_(u * 2.0 ** np.round(np.log2(np.sqrt(6.0 / np.prod(value.shape[1:])))))
            else:
                value.copy_(1 + u / 4 if key.endswith("weight") else (1 + u) / 4)
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        model.train()
        model(images())
        model.eval()
        for norm in norms:
            norm.running_mean.copy_(torch.round(norm.running_mean * 64) / 64)
            norm.running_var.copy_(torch.clamp(torch.round(norm.running_var * 64) / 64, min=1 / 64))
    return model


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixels):
        return self.model(pixels).logits


def export(model, path, folded, dynamo=False):
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    options = {} if dynamo else {"training": mode, "do_constant_folding": folded, "opset_version": 17}
    torch.onnx.export(model, (images(),), path, dynamo=dynamo, input_names=["pixels"], **options)
    if dynamo:
        # One file instead of two.
        onnx.save(onnx.load(path), path)
        Path(f"{path}.data").unlink(missing_ok=True)
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert ("BatchNormalization" in nodes) != folded, nodes


def main():
    torch.set_num_threads(1)
    config = MobileNetV1Config(depth_multiplier=ALPHA, num_labels=10, image_size=96, classifier_dropout_prob=0.0)
    hugging_face = Logits(randomize(MobileNetV1ForImageClassification(config), "hugging_face")).eval()
    plain = randomize(_gen_mobilenet_v1("mobilenetv1_100", channel_multiplier=ALPHA, num_classes=10), "timm").eval()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        export(hugging_face, folder / "hugging_face.onnx", folded=False)
        export(hugging_face, folder / "hugging_face_folded.onnx", folded=True)
        export(plain, folder / "timm.onnx", folded=False)
        export(plain, folder / "timm_dynamo.onnx", folded=True, dynamo=True)
        with zipfile.ZipFile(FOLDER / "onnx_files.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(folder.iterdir()):
                print(path.name, path.stat().st_size)
                info = zipfile.ZipInfo(path.name)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, path.read_bytes())
    with torch.no_grad():
        results = {"hugging_face": hugging_face(images()).numpy(), "timm": plain(images()).numpy()}
    print(results)
    write("onnx_files.safetensors", results, {"framework": FRAMEWORK})


if __name__ == "__main__":
    main()

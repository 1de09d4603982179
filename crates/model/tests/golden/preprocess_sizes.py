"""Golden results of timm's image preprocessing for inputs that are no square.

The images are those of preprocess.safetensors.
"""

import timm
import torchvision
from PIL import Image
from PIL import __version__ as pillow
from safetensors.numpy import load_file
from timm.data import create_transform

from formula import FOLDER, write

FRAMEWORK = f"timm {timm.__version__}, torchvision {torchvision.__version__.split('+')[0]}, pillow {pillow}"


def timm_eval(image, height, width, crop=0.875):
    """timm evaluation: bicubic, the image covers floor(side / crop), centre crop, [-1, 1]."""
    transform = create_transform(
        (3, height, width), is_training=False, interpolation="bicubic", crop_pct=crop, mean=(0.5,) * 3, std=(0.5,) * 3
    )
    return transform(Image.fromarray(image)).permute(1, 2, 0).contiguous().numpy()


def main():
    images = load_file(FOLDER / "preprocess.safetensors")
    noise, smooth = images["noise_image"], images["smooth_image"]
    tensors = {
        "timm_wide": timm_eval(noise, 32, 48),
        "timm_tall": timm_eval(noise, 48, 32),
        "smooth_timm_wide": timm_eval(smooth, 32, 48),
    }
    for name, value in tensors.items():
        print(f"{name}: {value.shape} {value.dtype} in [{value.min():.3f}, {value.max():.3f}], mean {value.mean():.3f}")
    write("preprocess_sizes.safetensors", tensors, {"framework": FRAMEWORK, "layout": "height, width, channel"})


if __name__ == "__main__":
    main()

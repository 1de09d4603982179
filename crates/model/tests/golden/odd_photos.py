"""Photos that our own encoder cannot write, by Pillow: odd_photos/*.

Progressive and CMYK JPEGs, a palette PNG with 16 colours, a deflated TIFF, an animated WebP.
Run with Pillow 11 or later; prints what Pillow decodes them to in the middle.
"""

from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent / "odd_photos"
WIDTH, HEIGHT = 64, 48


def main():
    FOLDER.mkdir(exist_ok=True)
    photo = Image.new("RGB", (WIDTH, HEIGHT))
    photo.putdata([(4 * x, 5 * y, 255 - 4 * x) for y in range(HEIGHT) for x in range(WIDTH)])
    photo.save(FOLDER / "progressive.jpg", quality=90, progressive=True)
    photo.convert("CMYK").save(FOLDER / "cmyk.jpg", quality=90)
    photo.quantize(16).save(FOLDER / "palette.png")
    photo.save(FOLDER / "deflated.tiff", compression="tiff_adobe_deflate")
    mirrored = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    photo.save(
        FOLDER / "animated.webp", save_all=True, append_images=[mirrored], lossless=True, duration=50
    )
    for path in sorted(FOLDER.iterdir()):
        middle = Image.open(path).convert("RGB").getpixel((WIDTH // 2, HEIGHT // 2))
        print(path.name, path.stat().st_size, middle)


if __name__ == "__main__":
    main()

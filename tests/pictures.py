"""Small image files of every kind a user may bring, each with the upright pixels another decoder (Pillow) gives."""

import io
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT = 40, 48
ORIENTATION = 274


@dataclass(frozen=True)
class Sample:
    """One file: its name, its bytes, the repairs it needs and its upright BGR pixels (within `tolerance`)."""

    name: str
    data: bytes
    repairs: tuple[str, ...]
    pixels: Pixels
    tolerance: int = 0


def photo(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> Image.Image:
    """A smooth coloured picture without any symmetry."""
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(cv2.GaussianBlur(noise, (0, 0), 2)))


def save(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def rotated(form: str, orientation: int, **options: object) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return save(photo(), form, exif=exif, **options)


def upright(data: bytes) -> Pixels:
    """Pillow's picture of the file as BGR, EXIF orientation applied, alpha dropped."""
    with Image.open(io.BytesIO(data)) as image:
        return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(image).convert("RGB"))[..., ::-1])


def segment(code: int, payload: bytes) -> bytes:
    return bytes((0xFF, code)) + struct.pack(">H", len(payload) + 2) + payload


def after_start(data: bytes, piece: bytes) -> bytes:
    """A JPEG with something put right after its start marker."""
    return data[:2] + piece + data[2:]


def resized_jpeg(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header claims another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def empty_png(width: int, height: int) -> bytes:
    """A PNG that claims this size, with hardly any data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def deep(channels: int) -> NDArray[np.uint16]:
    """16-bit values whose low byte is not that of a stretched 8-bit picture."""
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    return np.random.default_rng(1).integers(0, 65536, shape).astype(np.uint16)


def opencv(extension: str, pixels: NDArray[np.generic]) -> bytes:
    return cv2.imencode(extension, pixels)[1].tobytes()


def tiff(pixels: NDArray[np.generic], **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


JPEG = save(photo(), "JPEG", quality=90)
PROGRESSIVE = save(photo(), "JPEG", quality=90, progressive=True)
RESTARTS = cv2.imencode(".jpg", np.asarray(photo()), [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes()
PNG = save(photo(), "PNG")
JUNK = bytes(range(1, 28))
# As some files of the challenge have it: "27 extraneous bytes before marker 0xdb".
SPOILT = JPEG.replace(b"\xff\xdb", JUNK + b"\xff\xdb", 1)
_HIGH_BYTE = (deep(1) >> 8).astype(np.uint8)


def _alpha(image: Image.Image, form: str, **options: object) -> bytes:
    layer = image.convert("RGBA")
    layer.putalpha(photo(seed=5).convert("L"))
    return save(layer, form, **options)


def _sample(name: str, data: bytes, *repairs: str, like: bytes | None = None, tolerance: int = 0) -> Sample:
    return Sample(name, data, repairs, upright(like or data), tolerance)


SOUND = [
    _sample("baseline.jpg", JPEG),
    _sample("progressive.jpg", PROGRESSIVE),
    _sample("restarts.jpg", RESTARTS),
    _sample("upper.JPG", JPEG),
    _sample("long.jpeg", JPEG),
    _sample("gray.jpg", save(photo().convert("L"), "JPEG")),
    _sample("upright.jpg", rotated("JPEG", 1)),
    _sample("plain.png", PNG),
    _sample("graypng.png", save(photo().convert("L"), "PNG")),
    Sample("deep.png", opencv(".png", deep(3)), (), (deep(3) >> 8).astype(np.uint8)),
    _sample("plainbmp.bmp", save(photo(), "BMP")),
    _sample("plainwebp.webp", save(photo(), "WEBP", lossless=True)),
    _sample("moving.webp", save(photo(), "WEBP", lossless=True, save_all=True, append_images=[photo(seed=3)])),
]
REPAIRABLE = [
    _sample("junk.jpg", SPOILT, "extraneous bytes", like=JPEG),
    _sample("openended.jpg", JPEG[:-2], "no end marker", like=JPEG),
    _sample("tail.jpg", JPEG + b"\0" * 33, "bytes after the end", like=JPEG),
    _sample("twice.jpg", JPEG + save(photo(seed=4), "JPEG"), "bytes after the end", like=JPEG),
    _sample("junktail.jpg", SPOILT + b"x", "extraneous bytes", "bytes after the end", like=JPEG),
    _sample(
        "phone.jpg",
        save(photo(), "MPO", quality=90, save_all=True, append_images=[photo(seed=6)]),
        "bytes after the end",
    ),
    *(_sample(f"turned{turn}.jpg", rotated("JPEG", turn), "EXIF orientation") for turn in range(2, 9)),
    _sample("turnedpng.png", rotated("PNG", 6), "EXIF orientation"),
    _sample("turnedwebp.webp", rotated("WEBP", 8, lossless=True), "EXIF orientation"),
    _sample("turnedtiff.tif", rotated("TIFF", 3), "EXIF orientation", "TIFF"),
    _sample("plaintif.tif", save(photo(), "TIFF"), "TIFF"),
    _sample(
        "pages.tiff", save(photo(), "TIFF", save_all=True, append_images=[photo(60, 20, 1), photo(seed=2)]), "TIFF"
    ),
    _sample(
        "turnedtail.jpg",
        rotated("JPEG", 6) + b"tail",
        "bytes after the end",
        "EXIF orientation",
        like=rotated("JPEG", 6),
    ),
    _sample("print.jpg", save(photo().convert("CMYK"), "JPEG"), "mode CMYK", tolerance=1),
    _sample("layers.png", _alpha(photo(), "PNG"), "mode RGBA"),
    _sample("layerswebp.webp", _alpha(photo(), "WEBP", lossless=True), "mode RGBA"),
    _sample("grayalpha.png", save(photo().convert("LA"), "PNG"), "mode LA"),
    _sample("palette.png", save(photo().convert("P"), "PNG"), "mode P"),
    _sample("palettebmp.bmp", save(photo().convert("P"), "BMP"), "mode P"),
    _sample("bilevel.png", save(photo().convert("1"), "PNG"), "mode 1"),
    Sample("deepgray.png", opencv(".png", deep(1)), ("mode I;16",), np.repeat(_HIGH_BYTE[..., None], 3, axis=2)),
    _sample("pngnamed.jpg", PNG, "PNG named .jpg"),
    _sample("jpegnamed.png", JPEG, "JPEG named .png"),
    _sample("bare", JPEG, "JPEG named without extension"),
    _sample("layersnamed.jpg", _alpha(photo(), "PNG"), "mode RGBA", "PNG named .jpg"),
    _sample("junknamed.tif", JPEG + b"!", "bytes after the end", "JPEG named .tif", like=JPEG),
]


def ident(sample: object) -> str | None:
    """A sample's name, for pytest's ids."""
    return sample.name if isinstance(sample, Sample) else None

"""Faults of image files: bytes that can't be read or must be repaired, and other kinds of pictures."""

from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
import simplejpeg
from PIL import Image

from cytoyolo.images import jpeg
from cytoyolo.synthetic.faults import pictures
from cytoyolo.synthetic.faults.faulty_image import Fault, Host, Setting, Spread
from cytoyolo.synthetic.faults.registry import fault

_START_OF_SCAN, _TABLES = 0xDA, b"\xff\xdb"
_TRIES = 400
# The decoder's messages about bits that make no sense, or that are missing, begin with this.
_CORRUPT = "Corrupt JPEG data"
# Standard deviation in gray levels; robust z of a log area.
_NOISE, _ODD = 50, 8.0


def replaced(host: Host, data: bytes, detail: str) -> Fault:
    """Make a fault that writes other bytes under the image's own name. Its rows stay the same."""
    return Fault(detail, host.lines(listed="first"), {host.name: data})


def renamed(host: Host, data: bytes, extension: str, detail: str) -> Fault:
    """Make a fault that writes other bytes under a name with another extension. The rows get this name."""
    name = PurePosixPath(host.name).stem + extension
    return Fault(detail, host.lines(name, listed="first"), {name: data}, (host.name,))


@fault("unreadable", "empty", "text", "truncated", "garbage")
def unreadable(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    data = host.read()
    scan = _scan_start(data)
    spoil: dict[str, Callable[[], bytes]] = {
        "empty": lambda: b"",
        "text": lambda: b"This is no image.\n",
        "truncated": lambda: data[: scan + int(rng.uniform(0.2, 0.7) * (len(data) - scan))],
        "garbage": lambda: b"\xff\xd8\xff" + rng.bytes(2000).replace(b"\xff", b"\0"),
    }
    return Fault(variant, host.lines(listed="all"), {host.name: spoil[variant]()})


@fault("no-end-marker")
def no_end_marker(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    return replaced(host, host.read()[: -len(jpeg.END)], "without its last two bytes")


@fault("extraneous-bytes", "before a marker", "after the end")
def extraneous_bytes(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    data, junk = host.read(), bytes(rng.integers(1, 255, int(rng.integers(5, 60)), dtype=np.uint8))
    spoilt = data + junk if variant == "after the end" else data.replace(_TABLES, junk + _TABLES, 1)
    return replaced(host, spoilt, f"{len(junk)} bytes {variant}")


@fault("decoder-warning")
def decoder_warning(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    """A bit of the compressed data is flipped, late in the scan, so that the decoder warns but still gives a
    picture."""
    data = host.read()
    structure = jpeg.walk(data)
    start = _scan_start(data)
    for _ in range(_TRIES):
        place = start + int(rng.uniform(0.6, 0.98) * (len(data) - start))
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << int(rng.integers(8))
        if jpeg.walk(bytes(spoilt)) == structure and (warning := _warning(bytes(spoilt))):
            return replaced(host, bytes(spoilt), warning)
    return None


def _scan_start(data: bytes) -> int:
    """Return about where the compressed data of a JPEG's first scan begin, behind the scan's header."""
    return next(position for code, position in jpeg.walk(data).segments if code == _START_OF_SCAN) + 12


def _warning(data: bytes) -> str:
    """Return the decoder's warning if it and Pillow still give a picture, else ""."""
    try:
        simplejpeg.decode_jpeg(data, "BGR")
    except ValueError as error:
        complaint = " ".join(str(error).split())
        if not complaint.startswith(_CORRUPT):
            return ""
        try:
            simplejpeg.decode_jpeg(data, "BGR", strict=False)
            pictures.decode(data)
        except (ValueError, OSError, ImportError):
            return ""
        return complaint
    return ""


@fault("colour-mode", "CMYK", "alpha", "palette", "16-bit gray")
def colour_mode(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    image = Image.fromarray(pictures.decode(host.read()))
    if variant == "CMYK":
        return replaced(host, pictures.encode(image.convert("CMYK")), variant)
    if variant == "16-bit gray":
        deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
        image = Image.fromarray(deep)
    else:
        image = image.convert({"alpha": "RGBA", "palette": "P"}[variant])
    return renamed(host, pictures.encode(image, "PNG"), ".png", variant)


@fault("tiff")
def tiff(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    return renamed(host, pictures.encode(pictures.decode(host.read()), "TIFF"), ".tif", "TIFF")


@fault("wrong-extension", "PNG", "BMP", "WEBP")
def wrong_extension(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    options = {"lossless": True} if variant == "WEBP" else {}
    data = pictures.encode(pictures.decode(host.read()), variant, **options)
    return replaced(host, data, f"{variant} named {host.path.suffix}")


@fault("dark-or-bright", "dark", "bright")
def dark_or_bright(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    factor, offset = (0.04, 0.0) if variant == "dark" else (0.04, 245.0)
    picture = pictures.brightened(pictures.decode(host.read()), factor, offset)
    return replaced(host, pictures.encode(picture), variant)


@fault("odd-blur", "noise", "blur")
def odd_blur(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    if variant == "noise":
        picture = pictures.decode(host.read())
        noise = rng.normal(0, _NOISE, picture.shape)
        return replaced(host, pictures.encode(pictures.brightened(picture, 1, noise)), f"noise of {_NOISE} gray levels")
    sigma = round(max(min(host.size) / 24, 4.0), 1)
    picture = pictures.blurred(pictures.decode(host.read()), sigma)
    return replaced(host, pictures.encode(picture), f"Gaussian of {sigma} px")


@fault("odd-entropy")
def odd_entropy(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    """A picture with two gray levels, for its darker and its brighter half."""
    gray = pictures.decode(host.read()).mean(axis=2)
    dark, middle, bright = np.quantile(gray, (0.25, 0.5, 0.75))
    picture = np.where(gray < middle, dark, bright).astype(np.uint8)
    return replaced(host, pictures.encode(np.repeat(picture[..., None], 3, axis=2), quality=100), "two gray levels")


@fault("odd-size-image")
def odd_size_image(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    """The picture lies in the upper left of a canvas that is much larger than the images of this set."""
    spread: Spread = setting.image_area()
    area = np.clip(np.exp(spread.median + _ODD * spread.mad / 0.6745), 4 * np.prod(host.size), 3e7)
    scale = float(np.sqrt(area / np.prod(host.size)))
    size = (int(np.ceil(host.size[0] * scale)), int(np.ceil(host.size[1] * scale)))
    picture = pictures.moved(pictures.decode(host.read()), 0, 0, size, rng)
    return replaced(host, pictures.encode(picture), f"{size[0]}x{size[1]} px")

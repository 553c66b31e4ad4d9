"""Small whole slides, written by tifffile: pyramids of tiles in the forms of TIFF, BigTIFF, OME-TIFF and SVS."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

GLASS = (238, 240, 242)  # RGB
DESCRIPTION = "Aperio Image Library v12.0.15\n{0}x{1} [0,0 {0}x{1}] (256x256) JPEG/RGB Q=90|AppMag = 40|MPP = {2}"


def smear(width: int, height: int, seed: int = 0, dtype: type = np.uint8) -> NDArray[Any]:
    """Paint a slide (height, width, 3) RGB: glass, and a stained film with dark discs in the middle third."""
    picture = smear_with_discs(width, height, seed)[0]
    return picture if dtype == np.uint8 else picture.astype(dtype) * 16 + 9


def smear_with_discs(width: int, height: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Paint the slide of `smear`: its pixels, and the boxes (n, 4) of its discs, which do not touch each other."""
    random = np.random.default_rng(seed)
    picture = np.full((height, width, 3), GLASS, np.uint8)
    left, right = width // 3, 2 * width // 3
    picture[:, left:right] = np.array((225, 190, 200)) + random.integers(-6, 7, (height, right - left, 3))
    boxes: list[tuple[int, int, int, int]] = []
    for _ in range(max(width * height // 60_000, 3)):
        x, y = int(random.integers(left + 30, right - 30)), int(random.integers(30, height - 30))
        radius = int(random.integers(12, 22))
        if all(max(abs(x - (a + c) / 2), abs(y - (b + d) / 2)) > 50 for a, b, c, d in boxes):
            cv2.circle(picture, (x, y), radius, (110, 60, 150), -1)
            boxes.append((x - radius, y - radius, x + radius + 1, y + radius + 1))
    return picture, np.array(boxes, np.float64)


def halved(picture: NDArray[Any]) -> NDArray[Any]:
    return cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)


def write_pyramid(
    path: Path, picture: NDArray[Any], levels: int = 3, um: float = 0.25, kind: str = "tiff",
    macro: NDArray[Any] | None = None, **options: Any,
) -> Path:  # fmt: skip
    """Write a slide of JPEG tiles. `kind` is tiff (with BigTIFF by `bigtiff=True`), ome (smaller sizes as SubIFDs) or
    svs (with a thumbnail, as Aperio's scanners write it). `macro` is a picture of 16 um a pixel that comes first."""
    form: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb"}
    if picture.dtype == np.uint8:
        form |= {"compression": "jpeg", "compressionargs": {"level": 90}}
    if um:
        form |= {"resolution": (1e4 / um, 1e4 / um), "resolutionunit": "CENTIMETER"}
    form |= {key: value for key, value in options.items() if key != "bigtiff"}
    if picture.ndim == 2:
        form["photometric"] = "minisblack"
    with tifffile.TiffWriter(path, ome=kind == "ome", bigtiff=options.get("bigtiff", False)) as file:
        if macro is not None:
            told = {"axes": "YXS", "PhysicalSizeX": 16.0, "PhysicalSizeXUnit": "µm"} if kind == "ome" else None
            file.write(macro, photometric="rgb", metadata=told)
        first = dict(form, metadata=None)
        if kind == "ome":
            told = {"axes": "YXS"} | ({"PhysicalSizeX": um, "PhysicalSizeXUnit": "µm"} if um else {})
            first |= {"subifds": levels - 1, "metadata": told}
        elif kind == "svs":
            first["description"] = DESCRIPTION.format(picture.shape[1], picture.shape[0], um) if um else (
                DESCRIPTION.split("|MPP", maxsplit=1)[0].format(picture.shape[1], picture.shape[0])
            )  # fmt: skip
        file.write(picture, **first)
        if kind == "svs":
            file.write(halved(halved(picture)), photometric="rgb", compression="jpeg", rowsperstrip=16, metadata=None)
        for _ in range(levels - 1):
            picture = halved(picture)
            file.write(picture, **form, subfiletype=1, metadata=None)
    return path

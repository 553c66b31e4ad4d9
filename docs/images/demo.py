"""Makes demo.jpg of the README from the demo's own output: `make demo`, then `python docs/images/demo.py runs/demo`.

Left: the first twelve annotated pictures of the test images, in the order of their names. Right: the differential.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

SIDE, GAP, COLUMNS, ROWS = 240, 4, 3, 4


def main(demo: Path) -> None:
    """Read the demo's folder and write demo.jpg beside this file."""
    paths = sorted((demo / "detections" / "annotated").glob("*.jpg"))[: COLUMNS * ROWS]
    tiles = [_square(cv2.imread(str(path))) for path in paths]
    rows = [np.hstack(tiles[at : at + COLUMNS]) for at in range(0, len(tiles), COLUMNS)]
    cells = np.vstack(rows)
    chart = cv2.imread(str(demo / "detections" / "differential.png"))
    width = round(chart.shape[1] * cells.shape[0] / chart.shape[0])
    chart = cv2.resize(chart, (width, cells.shape[0]), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(Path(__file__).with_name("demo.jpg")), np.hstack([cells, chart]), [cv2.IMWRITE_JPEG_QUALITY, 88])


def _square(picture: np.ndarray) -> np.ndarray:
    picture = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(picture, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

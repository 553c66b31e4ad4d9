"""Draw detections on their image: boxes and classes, with one colour for each class."""

import colorsys

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.tables.table import XYXY


def class_colour(index: int, classes: int) -> tuple[int, int, int]:
    """Return the BGR colour of a class. Classes that are neighbours in the list have very different hues.

    Examples
    --------
    >>> class_colour(0, 5)
    (19, 19, 191)
    """
    hue = (index * 0.618034) % 1.0  # golden ratio: evenly spread for any number of classes
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.9, 0.75 if index * 2 < classes else 0.55)
    return round(blue * 255), round(green * 255), round(red * 255)


def annotate(image: NDArray[np.uint8], rows: pd.DataFrame, codes: tuple[str, ...]) -> NDArray[np.uint8]:
    """A copy of a BGR image with each row's box, class and confidence; rows as `detection_rows` makes them."""
    canvas = image.copy()
    scale = max(min(image.shape[:2]) / 900, 0.42)
    for row in rows.to_dict("records"):
        colour = class_colour(codes.index(row["class"]), len(codes))
        x1, y1, x2, y2 = (int(row[side]) for side in XYXY)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, max(round(scale * 2), 2))
        _tag(canvas, f"{row['class']} {row['confidence']:.2f}", (x1, y1), scale, colour)
    return canvas


def _tag(
    canvas: NDArray[np.uint8], text: str, corner: tuple[int, int], scale: float, colour: tuple[int, int, int]
) -> None:
    """Write white text on the class colour above the box, or inside the box at the upper edge of the image."""
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = min(max(corner[0], 0), max(canvas.shape[1] - width - 4, 0))
    top = corner[1] - height - below - 2
    y = top if top >= 0 else corner[1]
    cv2.rectangle(canvas, (x, y), (x + width + 4, y + height + below + 2), colour, cv2.FILLED)
    cv2.putText(canvas, text, (x + 2, y + height + 1), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)

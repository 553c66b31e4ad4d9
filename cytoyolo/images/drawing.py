"""Draw boxes on an image, with a text above each and one colour for each class."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray


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


def draw_boxes(
    image: NDArray[np.uint8], xyxy: NDArray[np.int64], class_id: NDArray[np.int64], texts: Sequence[str], classes: int
) -> NDArray[np.uint8]:
    """Return a copy of an image with boxes drawn on it, each with a text above it.

    Parameters
    ----------
    image
        Pixels (h, w, 3), BGR.
    xyxy
        Boxes (n, 4) in whole pixels.
    class_id
        The class (n,) of each box, which decides its colour.
    texts
        What is written above each box.
    classes
        How many classes there are.
    """
    canvas = image.copy()
    scale = max(min(image.shape[:2]) / 900, 0.42)
    for (x1, y1, x2, y2), index, text in zip(xyxy.tolist(), class_id.tolist(), texts, strict=True):
        colour = class_colour(index, classes)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, max(round(scale * 2), 2))
        _tag(canvas, text, (x1, y1), scale, colour)
    return canvas


def draw_points(
    image: NDArray[np.uint8], centres: NDArray[np.floating], class_id: NDArray[np.int64], classes: int
) -> NDArray[np.uint8]:
    """Return a copy of an image with a dot at each centre (n, 2), x and y in pixels, in the colour of its class."""
    canvas = image.copy()
    radius = max(round(max(image.shape[:2]) / 600), 2)
    for (x, y), index in zip(np.rint(centres).astype(int).tolist(), class_id.tolist(), strict=True):
        cv2.circle(canvas, (x, y), radius + 1, (255, 255, 255), cv2.FILLED)
        cv2.circle(canvas, (x, y), radius, class_colour(index, classes), cv2.FILLED)
    return canvas


def with_legend(
    picture: NDArray[np.uint8], texts: Sequence[str], class_id: Sequence[int], classes: int
) -> NDArray[np.uint8]:
    """Return a picture with a white strip below it: a dot in the colour of each class, and the text of the class.

    Parameters
    ----------
    picture
        Pixels (h, w, 3), BGR.
    texts
        What is written beside each dot. Characters that OpenCV's font lacks become question marks.
    class_id
        The class of each text, which decides the colour of its dot.
    classes
        How many classes there are.
    """
    scale = max(max(picture.shape[:2]) / 1600, 0.5)
    line, gap = round(34 * scale), round(12 * scale)
    plain = [text.encode("ascii", "replace").decode() for text in texts]
    thickness = max(round(1.6 * scale), 1)
    widths = [cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)[0][0] + line + gap for text in plain]
    width = max(picture.shape[1], *(gap + one for one in widths))
    places, x, row = list[tuple[int, int]](), gap, 0
    for one in widths:
        if x + one > width and x > gap:
            x, row = gap, row + 1
        places.append((x, row))
        x += one + gap
    height = picture.shape[0]
    canvas = np.full((height + (row + 1) * line + gap, width, 3), 255, np.uint8)
    canvas[:height, : picture.shape[1]] = picture
    for text, index, (left, below) in zip(plain, class_id, places, strict=True):
        middle = height + gap // 2 + below * line + line // 2
        cv2.circle(canvas, (left + line // 3, middle), line // 3, class_colour(index, classes), cv2.FILLED, cv2.LINE_AA)
        corner = (left + line, middle + line // 3)
        cv2.putText(canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, (40, 40, 40), thickness, cv2.LINE_AA)
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

"""Between an image's pixels and a network's: a square picture in, boxes back."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# The gray that fills a square around a picture of another shape; networks are trained with it.
FILL = 114


def fit(image: NDArray[np.uint8], side: int) -> tuple[int, int, int, int]:
    """How an image (h, w, ...) goes into a square: its width and height there, and its left and top."""
    height, width = image.shape[:2]
    scale = min(side / height, side / width)
    new_width, new_height = max(round(width * scale), 1), max(round(height * scale), 1)
    # Halves of a pixel go to the right and below, as they did in the training.
    left, top = round((side - new_width) / 2 - 0.1), round((side - new_height) / 2 - 0.1)
    return new_width, new_height, left, top


def letterbox(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The image (h, w, 3) scaled to touch two sides of a square (side, side, 3), in its middle."""
    width, height, left, top = fit(image, side)
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if (height, width) == (side, side):
        return np.asarray(scaled, np.uint8)
    square = np.full((side, side, 3), FILL, np.uint8)
    square[top : top + height, left : left + width] = scaled
    return square


def to_input(images: Sequence[NDArray[np.uint8]], side: int) -> NDArray[np.float32]:
    """Images (h, w, 3) BGR as a network takes them: (n, 3, side, side) RGB, 0 to 1."""
    pixels = np.empty((len(images), 3, side, side), np.float32)
    for place, image in zip(pixels, images, strict=True):
        place[...] = letterbox(image, side)[..., ::-1].transpose(2, 0, 1)
    pixels /= 255
    return pixels


def boxes_back(xyxy: NDArray[np.float32], image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Boxes (n, 4) of the square in the pixels of the image, cut at its border."""
    inner_width, inner_height, left, top = fit(image, side)
    height, width = image.shape[:2]
    # Each side has a scale of its own, because each was rounded to whole pixels.
    scale = np.array([inner_width / width, inner_height / height] * 2, np.float32)
    moved = (xyxy - np.array([left, top] * 2, np.float32)) / scale
    return np.asarray(np.clip(moved, 0, np.array([width, height] * 2, np.float32)), np.float32)

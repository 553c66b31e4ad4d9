"""Search images, those larger than the training's in tiles, and join what is found in the tiles of an image."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cytoyolo import defaults
from cytoyolo.detector.detections import Detections, concatenate, of_scores
from cytoyolo.detector.model import Model
from cytoyolo.detector.naming import AT_ONCE
from cytoyolo.detector.tiling import Image
from cytoyolo.images.reading import in_order
from cytoyolo.tiles import join

Item = TypeVar("Item")
# Detections of images (h, w, 3) uint8 BGR that are not divided, at most `most` boxes in each if it is given.
Detect = Callable[..., list[Detections]]
_NO_LOCK: AbstractContextManager[Any] = nullcontext()


def search(
    model: Model, images: Sequence[Image], detect: Detect | None = None, alone: AbstractContextManager[Any] = _NO_LOCK
) -> list[Detections]:
    """Search images (h, w, 3) uint8 BGR. The images that `model.tiling` leaves whole go into one call of the network.

    An image that is divided is searched on `model.calls` threads, `model.batch` tiles in a call. Only the tiles that
    are being searched are copied. `detect` replaces `model.detect`. The lock `alone` is held while an image is searched
    in tiles.
    """
    detect = detect or model.detect
    divided = [model.tiling.windows((image.shape[1], image.shape[0])) for image in images]
    whole = iter(detect([image for image, windows in zip(images, divided, strict=True) if windows is None]))
    found = []
    for image, windows in zip(images, divided, strict=True):
        if windows is None:
            found.append(next(whole))
            continue
        with alone:
            found.append(_searched_in_tiles(model, image, windows, detect))
    return found


def named(model: Model, image: Image, found: Detections, alone: AbstractContextManager[Any] = _NO_LOCK) -> Detections:
    """Let the classifiers of a model name what was found in an image. Without classifiers nothing changes.

    The many boxes of an image that is searched in tiles are named on `model.calls` threads, while `alone` is held.
    """
    naming = model.naming
    if naming is None:
        return found
    if len(found) <= AT_ONCE or not model.tiling.divides((image.shape[1], image.shape[0])):
        return naming.name(image, found)
    parts = [found.take(slice(start, start + AT_ONCE)) for start in range(0, len(found), AT_ONCE)]
    with alone:
        several = list(in_order(partial(naming.name, image), parts, workers=model.calls, chunk=1))
    return replace(
        found,
        class_id=np.concatenate([one.class_id for one in several]),
        probabilities=np.concatenate([one.probabilities for one in several]),
    )


def calibrated(model: Model, found: Detections) -> Detections:
    """Make probabilities of the scores of what was found in a whole image or slide. Nothing changes if the model is not
    calibrated.

    This is the last step: tiles, windows and views are joined by scores.
    """
    return found if model.calibration is None else model.calibration.of(found)


def _searched_in_tiles(model: Model, image: Image, windows: NDArray[np.int64], detect: Detect) -> Detections:
    most = most_in_tile(model)

    def of_batch(some: list[NDArray[np.int64]]) -> list[Detections]:
        return detect([model.tiling.cut(image, window) for window in some], most)

    batches = in_order(of_batch, chunks(windows, model.batch), workers=model.calls, chunk=1, ahead=2 * model.calls)
    found = [
        replace(one, xyxy=model.tiling.back(one.xyxy, window))
        for window, one in zip(windows, (one for batch in batches for one in batch), strict=True)
    ]
    return joined(found, windows, (image.shape[1], image.shape[0]), model.iou, model.field_limit)


def most_in_tile(model: Model) -> int:
    """The largest number of boxes that are kept in a tile. A lower limit is one of the whole image."""
    return max(model.max_det, defaults.MAX_DETECTIONS)


def joined(
    found: Sequence[Detections], windows: NDArray[np.int64], size: tuple[int, int], iou: float, limit: int
) -> Detections:
    """Join the detections of the windows of a field, so that no cell is counted twice: see `cytoyolo.tiles.join`.

    Parameters
    ----------
    found
        The detections of each window. Their boxes are in pixels of the field, cut at the window.
    windows
        The windows (k, 4) in pixels of the field.
    size
        The width and height of the field in pixels.
    iou
        The IoU above which two boxes are one cell.
    limit
        The largest number of boxes that are kept. The most confident boxes are kept.

    Returns
    -------
    Detections
        The cells of the field, the most confident first. `cut_confidence` is the highest of all windows, or higher if
        `limit` was reached.
    """
    codes = found[0].codes
    every = concatenate(found, codes)
    window = np.repeat(np.arange(len(windows)), [len(one) for one in found])
    xyxy = every.xyxy.astype(np.float64)
    inside = np.flatnonzero((xyxy[:, 2:] > xyxy[:, :2]).all(axis=1))  # not in what fills a tile beside its image
    made = join(xyxy[inside], every.confidence[inside].astype(np.float64), window[inside], windows, size, iou)
    cut = max(one.cut_confidence for one in found)
    shares = every.probabilities[inside][made.row]
    whole = of_scores(made.xyxy.astype(np.float32), shares, codes, cut, size)
    if len(whole) <= limit:
        return whole
    return replace(whole.take(slice(limit)), cut_confidence=max(cut, float(whole.confidence[limit - 1])))


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items, some at a time."""
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk

"""Search whole slides block by block, and join what was found in their windows.

A block is a part of a slide that is read at once. Its windows go through the network one after the other. Several
threads each work on a block, so that reading and inference overlap, and memory holds some blocks, never a slide.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytoyolo.detector.detections import Detections, concatenate, nothing
from cytoyolo.detector.fields import chunks, most_in_tile
from cytoyolo.detector.model import Model
from cytoyolo.detector.predict import SearchedFile, with_pixels
from cytoyolo.detector.slide_plan import SlidePlan
from cytoyolo.images.info import DecodedFile
from cytoyolo.images.reading import in_order
from cytoyolo.images.slide_form import Picture, Slide, Unreadable
from cytoyolo.images.slides import open_slide
from cytoyolo.images.unusable import Unusable
from cytoyolo.tiles import join

_NO_PICTURE = np.zeros((0, 0, 3), np.uint8)


def search_slides(model: Model, plans: Iterable[SlidePlan], done: int = 0) -> Iterator[SearchedFile]:
    """Yield what is found in each block of each slide, in their order. The first `done` blocks are left out.

    The boxes are in searched pixels and not joined; `more` tells the number of boxes of each window of the block, -1
    for a window that could not be read. If a slide can't be opened any more, its blocks have a problem.
    """
    for plan in plans:
        first, done = min(done, len(plan.blocks)), max(done - len(plan.blocks), 0)
        if first == len(plan.blocks):
            continue
        try:
            slide = open_slide(plan.path, model.white)
        except Unusable as error:
            problem = DecodedFile(_NO_PICTURE, str(error))
            for _ in range(first, len(plan.blocks)):
                yield SearchedFile(plan.path, problem, nothing(model.codes), plan.state)
            continue
        with slide:
            work = partial(_search_block, model, slide, plan)
            blocks = range(first, len(plan.blocks))
            yield from in_order(work, blocks, workers=model.calls, chunk=1, ahead=2 * model.calls)


def _search_block(model: Model, slide: Slide, plan: SlidePlan, number: int) -> SearchedFile:
    windows = plan.windows[plan.block == number]
    block = plan.blocks[number]
    pixels, pictures = _pictures(slide, plan, block, windows)
    read = [at for at, picture in enumerate(pictures) if picture is not None]
    found, most = list[Detections](), most_in_tile(model)
    for chunk in chunks(read, model.batch):
        some = model.detect([picture for at in chunk if (picture := pictures[at]) is not None], most)
        found += [_moved(one, windows[at]) for at, one in zip(chunk, some, strict=True)]
    counts = np.full(len(windows), -1)
    counts[read] = [len(one) for one in found]
    if pixels is None:
        found = [_named(model, pictures[at], windows[at], one) for at, one in zip(read, found, strict=True)]
    together = _named(model, pixels, block, concatenate(found, model.codes))
    cut = max((one.cut_confidence for one in found), default=0.0)
    together = replace(together, size=plan.size, cut_confidence=cut)
    return SearchedFile(plan.path, DecodedFile(_NO_PICTURE, ""), together, plan.state, {"counts": counts.tolist()})


def _pictures(
    slide: Slide, plan: SlidePlan, block: NDArray[np.int64], windows: NDArray[np.int64]
) -> tuple[Picture | None, list[Picture | None]]:
    """Read a block and its windows. A window that can't be read is None.

    The block is read at once, so that each of its tiles is decoded once. If that fails, it is None, and each window is
    read by itself.
    """
    try:
        pixels = plan.read(slide, block)
    except Unreadable:
        return None, [_picture(slide, plan, window) for window in windows]
    corner = np.tile(block[:2], 2)
    parts = (windows - corner).tolist()
    return pixels, [np.ascontiguousarray(pixels[y1:y2, x1:x2]) for x1, y1, x2, y2 in parts]


def _picture(slide: Slide, plan: SlidePlan, window: NDArray[np.int64]) -> Picture | None:
    try:
        return plan.read(slide, window)
    except Unreadable:
        return None


def _named(model: Model, picture: Picture | None, area: NDArray[np.int64], found: Detections) -> Detections:
    """Let classifiers name boxes in the searched pixels of a slide; `picture` shows this area of it."""
    if model.naming is None or picture is None:
        return found
    there = replace(found, xyxy=(found.xyxy - np.tile(area[:2], 2)).astype(np.float32))
    return replace(model.naming.name(picture, there), xyxy=found.xyxy)


def _moved(found: Detections, window: NDArray[np.int64]) -> Detections:
    """Return the boxes of a window in the searched pixels of the slide."""
    return replace(found, xyxy=(found.xyxy + np.tile(window[:2], 2)).astype(np.float32))


@dataclass(frozen=True)
class SearchedSlide:
    """The cells of a slide, in pixels of level 0, and the windows (n, 4) that could not be read. `plan` says how many
    windows were searched."""

    plan: SlidePlan
    detections: Detections
    unread: NDArray[np.int64]

    @property
    def problem(self) -> str:
        """Why the slide, or a part of it, can't be used; "" if all of it was searched."""
        if not len(self.unread):
            return ""
        if len(self.unread) == len(self.plan.windows):
            return "has no tile that can be read"
        x1, y1, x2, y2 = self.unread.T
        places = [f"{x},{y},{w},{h}" for x, y, w, h in zip(x1, y1, x2 - x1, y2 - y1, strict=True)]
        shown = "; ".join(places[:_SHOWN]) + (f"; and {len(places) - _SHOWN:,} more" if len(places) > _SHOWN else "")
        return (
            f"has unreadable tiles: {len(places):,} of {len(self.plan.windows):,} windows were not searched "
            f"(x,y,width,height: {shown}), and the others were"
        )


# How many unread windows a sentence lists.
_SHOWN = 20


def joined(
    plan: SlidePlan, blocks: Sequence[tuple[Detections, dict[str, Any]]], iou: float, limit: int = sys.maxsize
) -> SearchedSlide:
    """Join what was found in the blocks of a slide. Boxes whose centre lies outside the region are left out, and then
    all but the `limit` most confident boxes."""
    windows = plan.windows[np.argsort(plan.block, kind="stable")]
    counts = np.array([count for _, more in blocks for count in more["counts"]], np.int64)
    # A window that was not read has no say about the cells that others found.
    unread, windows = windows[counts < 0], windows[counts >= 0]
    window = np.repeat(np.arange(len(windows)), counts[counts >= 0])
    found = concatenate([one for one, _ in blocks], blocks[0][0].codes)
    chosen = join(found.xyxy.astype(np.float64), found.confidence.astype(np.float64), window, windows, plan.field, iou)
    xyxy = np.clip(chosen.xyxy / plan.scale, 0, [*plan.size, *plan.size]).astype(np.float32)
    cut = max(one.cut_confidence for one, _ in blocks)
    rows = chosen.row
    cells = Detections(
        xyxy, found.confidence[rows], found.class_id[rows], found.probabilities[rows], found.codes, cut, plan.name,
        plan.size,
    )  # fmt: skip
    x, y, width, height = plan.region
    middle = (xyxy[:, :2] + xyxy[:, 2:]) / 2 - (x, y)
    cells = with_pixels(cells.take(np.asarray(((middle >= 0) & (middle < (width, height))).all(axis=1))))
    if len(cells) > limit:
        cells = replace(cells.take(slice(limit)), cut_confidence=max(cut, float(cells.confidence[limit - 1])))
    return SearchedSlide(plan, cells, plan.in_level_0(unread))

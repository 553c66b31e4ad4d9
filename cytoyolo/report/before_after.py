"""A sheet of pictures of a curation's findings: before, after, and why."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.annotations.images import decode
from cytoyolo.annotations.view import View
from cytoyolo.dataset.masks import FILLS, paint
from cytoyolo.tables import XYXY

Picture = NDArray[np.uint8]

PANEL, CAPTION, COLUMNS, TILES = 180, 62, 4, 24
_GAP, _LINE = 4, 62
_RED, _GREEN, _GRAY, _INK = (40, 40, 220), (60, 160, 30), (170, 170, 170), (40, 40, 40)


def draw_changes(findings: pd.DataFrame, boxes: pd.DataFrame, view: View, images: Path) -> Picture | None:
    """A BGR picture of up to TILES findings, spread over the rules; None when there are none.

    findings: line, image, rule, action and detail, by the same rows as `boxes` (x1 to y2: the predictions). `view` is
    the table before. Each tile has the image twice: the labels as they were, the finding's own in red; and as they are,
    what is new in green and masks in black.
    """
    if not len(findings):
        return None
    rules = findings["rule"].drop_duplicates().tolist()
    ranked = findings.assign(turn=findings.groupby("rule").cumcount(), order=findings["rule"].map(rules.index))
    chosen = ranked.sort_values(["turn", "order"], kind="stable").head(TILES).sort_values(["order", "turn"]).index
    tiles = [
        _tile(number, findings.loc[at].to_dict(), boxes.loc[at, XYXY].to_numpy(np.float64), view, images)
        for number, at in enumerate(chosen, start=1)
    ]
    height, width = tiles[0].shape[:2]
    sheet = np.full((-(-len(tiles) // COLUMNS) * height, COLUMNS * width, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // COLUMNS * height, place % COLUMNS * width
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _tile(
    number: int, finding: Mapping[Hashable, Any], predicted: NDArray[np.float64], view: View, images: Path
) -> Picture:
    tile = np.full((PANEL + CAPTION, 2 * PANEL + 3 * _GAP, 3), 255, np.uint8)
    image = decode(images / str(finding["image"]))[0]
    row = int(finding["line"]) - 2 if finding["line"] else -1
    for place, after in enumerate((False, True)):
        panel = _panel(image, str(finding["image"]), row, finding if after else None, predicted, view)
        left = _GAP + place * (PANEL + _GAP) + (PANEL - panel.shape[1]) // 2
        tile[_GAP : _GAP + panel.shape[0], left : left + panel.shape[1]] = panel
    texts = [f"{number}. {finding['rule']}: {finding['action']}", *wrap(str(finding["detail"]), _LINE, max_lines=2)]
    for at, text in enumerate(texts):
        corner, scale = (_GAP, PANEL + 20 + at * 15), 0.42 if at == 0 else 0.34
        cv2.putText(tile, _plain(text), corner, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)
    return tile


def _plain(text: str) -> str:
    """The text as OpenCV's font can write it."""
    return text.encode("ascii", "replace").decode()


def _panel(
    image: Picture,
    name: str,
    row: int,
    finding: Mapping[Hashable, Any] | None,
    predicted: NDArray[np.float64],
    view: View,
) -> Picture:
    """The image with its labels as they were or, with the finding, as it leaves them."""
    if not image.size:
        return np.full((PANEL // 2, PANEL, 3), 225, np.uint8)
    action = "" if finding is None else finding["action"]
    rows = np.flatnonzero((view.text["image"] == name) & view.labels).tolist()
    if action == "mask":
        image = paint(image, predicted[None], view.xyxy[[one for one in rows if one != row]], FILLS[0])
    scale = min(PANEL / image.shape[1], (PANEL - _GAP) / image.shape[0])
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    shown = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    for one in sorted(rows, key=lambda at: at == row):
        if one != row:
            _box(shown, view.xyxy[one] * scale, _GRAY, 1)
        elif action not in ("mask", "replace"):
            _box(shown, view.xyxy[one] * scale, _RED, 2)
    if finding is not None and action != "mask" and np.isfinite(predicted).all():
        _box(shown, predicted * scale, _GREEN, 2)
    return shown


def _box(picture: Picture, xyxy: NDArray[np.float64], colour: tuple[int, int, int], thickness: int) -> None:
    x1, y1, x2, y2 = np.rint(np.clip(xyxy, -10_000, 10_000)).astype(int).tolist()
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thickness)

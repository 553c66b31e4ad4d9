"""A sheet of pictures of an audit's findings, for people who would rather look than read."""

from collections.abc import Hashable, Mapping
from textwrap import wrap
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.annotations.images import decode
from cytoyolo.annotations.rules import RULES
from cytoyolo.annotations.view import View

Picture = NDArray[np.uint8]

TILE, CAPTION, COLUMNS = 240, 64, 6
# Characters of a line, as OpenCV writes them.
_LINE = 42
# Tiles for each rule, spread over its findings.
PER_RULE = 6
# Rules whose findings can't be seen in a picture, or are no more than the size of the set.
_UNSEEN = {
    "broken-row",
    "blank",
    "path",
    "number",
    "class-variant",
    "unknown-class",
    "name-variant",
    "missing-image",
    "stem-collision",
    "case-collision",
    "unlabelled-image",
    "unreadable",
    "no-end-marker",
    "extraneous-bytes",
    "wrong-extension",
    "tiff",
    "mask",
    "outside",
    "fractional",
    "at-edge",
    "repeated-row",
    "many-boxes",
}
_RED, _GRAY, _INK = (40, 40, 220), (170, 170, 170), (40, 40, 40)


def draw_sheet(findings: pd.DataFrame, view: View) -> Picture | None:
    """A BGR picture of up to PER_RULE findings of each rule that shows in a picture; None when there are none.

    Each tile is numbered and has its image with the boxes of the table, the finding's own in red; images that show the
    same stand side by side. `view` is the table as it was audited.
    """
    chosen = []
    for name, group in findings[(findings["image"] != "") & ~findings["rule"].isin(_UNSEEN)].groupby(
        "rule", sort=False
    ):
        step = max(len(group) // PER_RULE, 1)
        chosen.append(group.iloc[::step].head(PER_RULE).assign(rule=name))
    if not chosen:
        return None
    tiles = [_tile(number, row, view) for number, row in enumerate(pd.concat(chosen).to_dict("records"), start=1)]
    rows = -(-len(tiles) // COLUMNS)
    sheet = np.full((rows * (TILE + CAPTION), COLUMNS * TILE, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // COLUMNS * (TILE + CAPTION), place % COLUMNS * TILE
        sheet[top : top + TILE + CAPTION, left : left + TILE] = tile
    return sheet


def _tile(number: int, finding: Mapping[Hashable, Any], view: View) -> Picture:
    tile = np.full((TILE + CAPTION, TILE, 3), 255, np.uint8)
    name, line = str(finding["image"]), finding["line"]
    names = [name]
    flagged = int(line) - 2 if isinstance(line, int) and RULES[str(finding["rule"])].about == "row" else -1
    if finding["value"] in view.facts and finding["value"] != name:  # the image that shows the same
        names.append(str(finding["value"]))
    width = (TILE - 6) // len(names)
    for place, shown in enumerate(names):
        picture = _picture(shown, flagged if place == 0 else -1, view, width)
        left = 3 + place * width + (width - picture.shape[1]) // 2
        tile[3 : 3 + picture.shape[0], left : left + picture.shape[1]] = picture
    detail = wrap(str(finding["detail"]), _LINE, max_lines=2, placeholder="...")
    for row, text in enumerate((f"{number}. {finding['rule']}", name, *detail)):
        corner, scale = (4, TILE + 10 + row * 15), 0.42 if row == 0 else 0.34
        cv2.putText(tile, _plain(text), corner, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)
    return tile


def _plain(text: str) -> str:
    """The text as OpenCV's font can write it, in one line of a tile."""
    return text.encode("ascii", "replace").decode()[:_LINE]


def _picture(name: str, flagged: int, view: View, width: int) -> Picture:
    """The image at the width of its tile with its boxes, that of row `flagged` in red."""
    image = decode(view.facts[name].path)[0] if name in view.facts else np.zeros((0, 0, 3), np.uint8)
    if not image.size:
        return np.full((TILE // 2, width - 4, 3), 225, np.uint8)
    scale = min((width - 4) / image.shape[1], (TILE - 6) / image.shape[0])
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    shown = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    rows = np.flatnonzero(view.text["image"] == name)
    for row in sorted(rows.tolist(), key=lambda one: one == flagged):
        box = view.xyxy[row] * scale
        if np.isfinite(box).all():
            x1, y1, x2, y2 = np.clip(np.rint(box), -10_000, 10_000).astype(int).tolist()
            cv2.rectangle(shown, (x1, y1), (x2, y2), _RED if row == flagged else _GRAY, 2 if row == flagged else 1)
    return shown

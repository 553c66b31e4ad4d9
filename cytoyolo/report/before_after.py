"""Draw a sheet of a curation's findings: labels before, labels after, and the reason."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.annotations.table import LabelTable
from cytoyolo.defaults import MASK_FILL
from cytoyolo.images.info import decode
from cytoyolo.images.samples import White
from cytoyolo.report.tiles import GRAY, GREEN, RED, Picture, arrange, draw_box, fit, write_lines
from cytoyolo.tables.table import XYXY
from cytoyolo.yolo.ignore_regions import paint

PANEL, CAPTION, COLUMNS, TILES = 180, 62, 4, 24
_GAP, _LINE = 4, 62


def draw_changes(
    findings: pd.DataFrame, boxes: pd.DataFrame, table: LabelTable, images: Path, white: White
) -> Picture | None:
    """Draw up to TILES findings, as many of each rule as possible.

    Each tile shows the image twice. Left: the labels before, with the finding's label in red. Right: the labels after,
    with new boxes in green and ignore regions in black.

    Parameters
    ----------
    findings : DataFrame
        line, image, rule, action and detail.
    boxes : DataFrame
        The predicted boxes x1, y1, x2, y2, with the same rows.
    table : LabelTable
        The table before the curation.
    images : Path
        The image folder.
    white : White
        The range in which images of more than 8 bits are shown.

    Returns
    -------
    array (h, w, 3) or None
        A BGR picture, None if there are no findings.
    """
    if not len(findings):
        return None
    rules = findings["rule"].drop_duplicates().tolist()
    ranked = findings.assign(turn=findings.groupby("rule").cumcount(), order=findings["rule"].map(rules.index))
    chosen = ranked.sort_values(["turn", "order"], kind="stable").head(TILES).sort_values(["order", "turn"]).index
    tiles = [
        _tile(number, findings.loc[at].to_dict(), boxes.loc[at, XYXY].to_numpy(np.float64), table, images, white)
        for number, at in enumerate(chosen, start=1)
    ]
    return arrange(tiles, COLUMNS)


def _tile(
    number: int,
    finding: Mapping[Hashable, Any],
    predicted: NDArray[np.float64],
    table: LabelTable,
    images: Path,
    white: White,
) -> Picture:
    tile = np.full((PANEL + CAPTION, 2 * PANEL + 3 * _GAP, 3), 255, np.uint8)
    image = decode(images / str(finding["image"]), white)[0]
    row = int(finding["line"]) - 2 if finding["line"] else -1
    for place, after in enumerate((False, True)):
        panel = _panel(image, str(finding["image"]), row, finding if after else None, predicted, table)
        left = _GAP + place * (PANEL + _GAP) + (PANEL - panel.shape[1]) // 2
        tile[_GAP : _GAP + panel.shape[0], left : left + panel.shape[1]] = panel
    texts = [f"{number}. {finding['rule']}: {finding['action']}", *wrap(str(finding["detail"]), _LINE, max_lines=2)]
    write_lines(tile, texts, (_GAP, PANEL + 20))
    return tile


def _panel(
    image: Picture,
    name: str,
    row: int,
    finding: Mapping[Hashable, Any] | None,
    predicted: NDArray[np.float64],
    table: LabelTable,
) -> Picture:
    """Draw the image with its labels before or, if a finding is given, after it."""
    action = "" if finding is None else finding["action"]
    rows = np.flatnonzero((table.text["image"] == name) & table.labels).tolist() if image.size else []
    if action == "mask" and image.size:
        image = paint(image, predicted[None], table.xyxy[[other for other in rows if other != row]], MASK_FILL)
    shown, scale = fit(image, PANEL, PANEL - _GAP)
    for at in sorted(rows, key=lambda at: at == row):
        if at != row:
            draw_box(shown, table.xyxy[at] * scale, GRAY, 1)
        elif action not in ("mask", "replace"):
            draw_box(shown, table.xyxy[at] * scale, RED, 2)
    if finding is not None and action != "mask" and image.size:
        draw_box(shown, predicted * scale, GREEN, 2)
    return shown

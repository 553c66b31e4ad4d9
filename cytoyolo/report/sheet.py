"""Draw a sheet of an audit's findings, for people who prefer pictures to tables."""

from collections.abc import Hashable, Mapping
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.annotations.rules.registry import Rule, Sheet
from cytoyolo.annotations.table import LabelTable
from cytoyolo.images.info import decode_as
from cytoyolo.report.tiles import GRAY, RED, Picture, arrange, draw_box, fit, with_key, write_lines

TILE, CAPTION, COLUMNS = 240, 64, 6
# The most characters of a line in a tile.
_LINE = 42
# The most tiles for each rule, spread over its findings.
PER_RULE = 6
_KEY = ((RED, "the row of the finding"), (GRAY, "other rows of the image"))


def draw_sheet(findings: pd.DataFrame, table: LabelTable, rules: Mapping[str, Rule]) -> Picture | None:
    """Draw up to PER_RULE findings of each rule whose findings can be shown in a picture (BGR); None if there are none.

    Each tile has a number. It shows an image with the boxes of the table, and the finding's own box in red. Images that
    show the same stand side by side. `table` is the audited table, and `rules` say how their findings are shown.
    """
    chosen = []
    seen = [name for name, rule in rules.items() if rule.sheet != "none"]
    for name, group in findings[(findings["image"] != "") & findings["rule"].isin(seen)].groupby("rule", sort=False):
        step = max(len(group) // PER_RULE, 1)
        chosen.append(group.iloc[::step].head(PER_RULE).assign(rule=name))
    if not chosen:
        return None
    tiles = [
        _tile(number, row, table, rules[row["rule"]].sheet)
        for number, row in enumerate(pd.concat(chosen).to_dict("records"), start=1)
    ]
    return with_key(arrange(tiles, COLUMNS), _KEY)


def _tile(number: int, finding: Mapping[Hashable, Any], table: LabelTable, shown_as: Sheet) -> Picture:
    tile = np.full((TILE + CAPTION, TILE, 3), 255, np.uint8)
    name, line = str(finding["image"]), finding["line"]
    names = [name]
    flagged = int(line) - 2 if isinstance(line, int) and shown_as == "box" else -1
    if shown_as == "pair" and finding["value"] in table.facts and finding["value"] != name:
        names.append(str(finding["value"]))
    width = (TILE - 6) // len(names)
    for place, shown in enumerate(names):
        picture = _picture(shown, flagged if place == 0 else -1, table, width)
        left = 3 + place * width + (width - picture.shape[1]) // 2
        tile[3 : 3 + picture.shape[0], left : left + picture.shape[1]] = picture
    detail = wrap(str(finding["detail"]), _LINE, max_lines=2, placeholder="...")
    where = f", line {line}" if line else ""
    lines = [f"{number}. {finding['rule']}", f"{name[: _LINE - len(where)]}{where}", *detail]
    write_lines(tile, lines, (4, TILE + 10))
    return tile


def _picture(name: str, flagged: int, table: LabelTable, width: int) -> Picture:
    """Draw the image at the width of its tile, with its boxes. The box of the row `flagged` is red."""
    image = decode_as(table.facts[name])[0] if name in table.facts else np.zeros((0, 0, 3), np.uint8)
    shown, scale = fit(image, width - 4, TILE - 6)
    rows = np.flatnonzero(table.text["image"] == name) if image.size else np.zeros(0, np.int64)
    for row in sorted(rows.tolist(), key=lambda one: one == flagged):
        draw_box(shown, table.xyxy[row] * scale, RED if row == flagged else GRAY, 2 if row == flagged else 1)
    return shown

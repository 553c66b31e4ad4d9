"""The page of `curate`: labels before and after, in pictures."""

from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.page_tiles import Box, Wanted, draw_tiles
from cytoyolo.curation.corrections import REPLACED
from cytoyolo.curation.findings import DISPLACED, SPURIOUS, Labels
from cytoyolo.images.info import decode
from cytoyolo.images.samples import White
from cytoyolo.report.page import html_of
from cytoyolo.report.pages.curation import curation_page
from cytoyolo.report.parts import Tile
from cytoyolo.report.pictures import Pictures
from cytoyolo.report.tiles import Picture
from cytoyolo.tables.table import XYXY

# The most findings of each kind. So few pictures need some 7 MB, and stay inside the page.
_OF_KIND = 60


def curation_html(
    about: str,
    found: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    boxes: pd.DataFrame,
    given: Labels,
    table: LabelTable,
    changes: pd.DataFrame,
    masked: bool,
    images: Path | None,
    white: White,
) -> str:
    """Return the page. `found` are findings, suggestions and scores; `boxes` are predicted boxes, a row a finding;
    `changes` are the rows of the change log."""
    findings, suggestions, scores = found
    tiles: dict[str, list[Tile]] = {}
    if images is not None and len(findings):
        chosen = _most_suspect(findings, scores)
        several = [_pictures(findings, boxes, table, at) for at in chosen.index]
        place = images

        def read(name: str) -> tuple[Picture, str]:
            return decode(place / name, white)

        drawn = iter(draw_tiles([one for some in several for one in some], read, Pictures(None)))
        for rule, some in zip(chosen["rule"], several, strict=True):
            own = [next(drawn) for _ in some]
            shown = [picture for tile in own for picture in tile.pictures]
            tiles.setdefault(rule, []).append(Tile(shown, own[0].lines, own[0].missing))
    losses = _losses(findings, given, table, masked)
    replaced = int((changes["rule"] == REPLACED).sum())
    return html_of(curation_page(about, findings, suggestions, scores, losses, len(changes), replaced, tiles))


def _most_suspect(findings: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """The findings that are shown: of each kind the labels with the lowest scores, or the most confident cells."""
    score = dict(zip(scores["line"], scores["score"], strict=True))
    suspect = [
        score.get(line, -float(sure)) for line, sure in zip(findings["line"], findings["confidence"], strict=True)
    ]
    ranked = findings.assign(suspect=suspect).sort_values("suspect", kind="stable")
    rules = findings["rule"].drop_duplicates().tolist()
    ranked = ranked.groupby("rule", sort=False).head(_OF_KIND)
    return ranked.sort_values("rule", key=lambda names: names.map(rules.index), kind="stable")


def _pictures(findings: pd.DataFrame, boxes: pd.DataFrame, table: LabelTable, at: object) -> list[Wanted]:
    """The picture before a finding, and the picture after it if anything changes."""
    finding = findings.loc[[at]].to_dict("records")[0]
    image, row = str(finding["image"]), int(finding["line"]) - 2 if finding["line"] else -1
    rows = np.flatnonzero((table.text["image"] == image) & table.labels).tolist()
    others = [table.xyxy[one] for one in rows if one != row]
    predicted: Box = boxes.loc[[at], XYXY].to_numpy(np.float64)[0]
    label = table.xyxy[row] if row >= 0 else None
    around = predicted if label is None else label
    if finding["rule"] == DISPLACED:
        around = np.concatenate([np.minimum(around[:2], predicted[:2]), np.maximum(around[2:], predicted[2:])])
    where = f", line {finding['line']}" if finding["line"] else ", no line"
    lines = [f"{image}{where}", str(finding["detail"]), f"{finding['action']}, fold {finding['fold']}"]
    before = Wanted(image, lines, label, others, around=around)
    if finding["action"] == "review":
        return [before if label is not None else before._replace(box=predicted)]
    if finding["action"] == "mask":
        return [before, before._replace(box=None, filled=[around])]
    return [before, before._replace(box=predicted)]


def _losses(findings: pd.DataFrame, given: Labels, table: LabelTable, masked: bool) -> pd.DataFrame:
    codes = table.spec.codes
    lost = findings.loc[(findings["rule"] == SPURIOUS) & masked, "line"].to_numpy(dtype=np.int64) - 2
    gone = np.isin(given.row, lost)
    count = len(codes)
    labels, away = (np.bincount(ids, minlength=count) for ids in (given.class_id, given.class_id[gone]))
    made = pd.DataFrame({"class": codes, "labels": labels, "lost": away})
    return made[made["labels"] > 0].sort_values("lost", ascending=False, kind="stable")

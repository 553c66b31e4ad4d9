"""The page of `audit`: the pictures of its findings are read here, and `report` arranges them."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.annotations.rules.registry import Rule
from cytoyolo.annotations.table import LabelTable
from cytoyolo.images.info import decode_as
from cytoyolo.images.reading import in_order
from cytoyolo.report.crops import crop
from cytoyolo.report.page import PAGE, write_page
from cytoyolo.report.pages.audit import GROUPS, audit_page, chosen
from cytoyolo.report.parts import Tile
from cytoyolo.report.pictures import Pictures
from cytoyolo.report.tiles import Picture
from cytoyolo.text import counted

# The most images of a group of copies that are shown.
_IN_GROUP = 6


class _Wanted(NamedTuple):
    """A tile to make: its images by name, each with the row that matters (-1: none), and the lines below it."""

    rule: str
    images: Sequence[tuple[str, int]]
    lines: Sequence[str]


def write_audit_page(
    folder: Path,
    findings: pd.DataFrame,
    counts: pd.DataFrame,
    summary: Mapping[str, Any],
    policy: Mapping[str, Rule],
    table: LabelTable | None,
) -> None:
    """Write the page of an audit into its folder. Only the images that the page shows are read."""
    tiles: dict[str, list[Tile]] = {}
    if table is not None and table.folder is not None:
        wanted = [*_findings(findings, table, policy), *_groups(findings, table, policy)]
        pictures, work = Pictures(folder / PAGE), _Reader(table).pictures
        with console.progress() as progress:
            read = in_order(work, wanted, chunk=4)
            for tile, shown in zip(wanted, progress.track(read, len(wanted), description="Draw the page"), strict=True):
                tiles.setdefault(tile.rule, []).append(_tile(tile, shown, pictures))
    groups = tiles.pop("", [])
    write_page(folder / PAGE, audit_page(findings, counts, summary, policy, table, tiles, groups))


def _findings(findings: pd.DataFrame, table: LabelTable, policy: Mapping[str, Rule]) -> list[_Wanted]:
    """The tiles of all rules whose findings can be seen."""
    seen = [name for name, rule in policy.items() if rule.sheet != "none" and not rule.copies]
    shown = chosen(findings[(findings["image"] != "") & findings["rule"].isin(seen)])
    return [_of_finding(row, table, policy[row["rule"]]) for row in shown.to_dict("records")]


def _of_finding(finding: Mapping[Hashable, Any], table: LabelTable, rule: Rule) -> _Wanted:
    name, line = str(finding["image"]), finding["line"]
    row = int(line) - 2 if isinstance(line, int) and rule.sheet == "box" else -1
    images = [(name, row)]
    if rule.sheet == "pair" and finding["value"] in table.facts and finding["value"] != name:
        images.append((str(finding["value"]), -1))
    said = [str(finding[part]) for part in ("value", "detail") if finding[part]]
    return _Wanted(rule.name, images, [name, *([f"line {line}"] if line else []), *said])


def _groups(findings: pd.DataFrame, table: LabelTable, policy: Mapping[str, Rule]) -> list[_Wanted]:
    """The tiles of images that show the same, the largest groups first."""
    kinds = [name for name, rule in policy.items() if rule.copies]
    found = findings[findings["rule"].isin(kinds)]
    rules = found.groupby("image")["rule"].first().to_dict()
    tiles = []
    for names in sorted(_connected(found[["image", "value"]]), key=lambda names: -len(names))[:GROUPS]:
        shown = names[:_IN_GROUP]
        kind = ", ".join(dict.fromkeys(rules[name] for name in names if name in rules))
        rest = [f"and {len(names) - _IN_GROUP} more"] if len(names) > _IN_GROUP else []
        lines = [f"{counted(len(names), 'image')}: {kind}", *(_labelled(name, table) for name in shown), *rest]
        tiles.append(_Wanted("", [(name, -1) for name in shown], lines))
    return tiles


def _connected(pairs: pd.DataFrame) -> list[list[str]]:
    """The groups of names that pairs of names connect, each in the order of appearance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pairs):
        return []
    numbers, names = pd.factorize(pairs.to_numpy(object)[:, ::-1].ravel())  # the earlier image of each pair comes first
    links = numbers.reshape(-1, 2).T
    component = connected_components(coo_array((np.ones(len(pairs)), tuple(links)), shape=(len(names),) * 2))[1]
    return [group.tolist() for _, group in pd.Series(names).groupby(component)]


def _labelled(name: str, table: LabelTable) -> str:
    row = table.first_rows.get(name)
    return name if row is None else f"{name}, line {row + 2}: {table.text['class'][row] or 'no cells'}"


class _Reader:
    """Reads images of a table and draws their rows. It is safe in threads."""

    def __init__(self, table: LabelTable) -> None:
        self._table = table
        rows = np.flatnonzero(table.alive)
        self._rows: Mapping[Hashable, NDArray[np.int64]] = {
            name: rows[places] for name, places in pd.Series(rows).groupby(table.text["image"][rows]).indices.items()
        }

    def pictures(self, wanted: _Wanted) -> list[tuple[Picture | None, str]]:
        """Return the pictures of a tile, each with "" or the reason why there is none."""
        return [self._picture(name, row) for name, row in wanted.images]

    def _picture(self, name: str, row: int) -> tuple[Picture | None, str]:
        table = self._table
        if name not in table.facts:
            return None, "the folder has no such file"
        image, problem = decode_as(table.facts[name])
        if problem:
            return None, problem
        others = [table.xyxy[other] for other in self._rows.get(name, ()) if other != row]
        return crop(image, table.xyxy[row] if row >= 0 else None, others), ""


def _tile(wanted: _Wanted, read: Sequence[tuple[Picture | None, str]], pictures: Pictures) -> Tile:
    shown, missing = [], []
    for (name, _), (picture, problem) in zip(wanted.images, read, strict=True):
        if picture is None:
            missing.append(f"{name}: {problem}")
        else:
            shown.append(pictures.add(picture, f"{name}: {wanted.rule or 'one of a group that shows the same'}"))
    return Tile(shown, wanted.lines, "; ".join(missing))

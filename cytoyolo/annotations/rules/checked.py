"""Checks of what a user's own rule yields."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from cytoyolo.annotations.rules.registry import DROP, MERGE, REWRITE, Findings, Rule
from cytoyolo.annotations.table import LabelTable, Rows
from cytoyolo.errors import quoted
from cytoyolo.tables.table import LABEL_ROLES

# A change log with these characters can't be written, or not be read again.
_NO_TEXT = re.compile("[\0\r\n\ud800-\udfff]")


def checked(rule: Rule, table: LabelTable, result: Iterable[Findings] | None) -> Iterator[Findings]:
    """Yield the findings of a rule about rows that are still in the table.

    A row is dropped or rewritten at most once. Raises TypeError or ValueError if the rule yields anything but findings.
    """
    if not isinstance(result, Iterable):
        raise TypeError(f"the function gave {_kind(result)}; yield Findings, as `yield from by_row(...)` does")
    alive = table.alive.copy()
    for findings in result:
        if not isinstance(findings, Findings):
            raise TypeError(f"the function yielded {_kind(findings)}; yield Findings, as `yield from by_row(...)` does")
        rows = _rows(rule, table, findings)
        whole = _whole(rule, table, replace(findings, rows=rows))
        if rule.about != "row":
            yield whole
            continue
        kept = np.flatnonzero(alive[rows])
        if rule.action in (DROP, MERGE, *REWRITE):
            kept = kept[np.unique(rows[kept], return_index=True)[1]]
            alive[rows] = False
        if len(kept):
            yield _chosen(whole, kept)


def _rows(rule: Rule, table: LabelTable, findings: Findings) -> Rows:
    rows = np.asarray(findings.rows)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise TypeError("rows must be numbers of rows, one for each finding; `table.where(mask)` makes them of a mask")
    least = 0 if rule.about == "row" else -1
    if rows.size and not least <= rows.min() <= rows.max() < len(table.alive):
        raise ValueError(f"rows must be numbers from {least} to {len(table.alive) - 1}")
    return rows.astype(np.int64)


def _whole(rule: Rule, table: LabelTable, findings: Findings) -> Findings:
    """Return the findings with their texts as lists, and with names of images unless they are about rows."""
    count = len(findings.rows)
    unknown = set(findings.after) - set(LABEL_ROLES)
    if unknown:
        raise ValueError(f"`after` has {', '.join(sorted(unknown))}; it can have {', '.join(LABEL_ROLES)}")
    if rule.action in REWRITE and not findings.after:
        raise ValueError(f"the action is '{rule.action}', and `after` has no new values")
    after = {role: _texts(f"after['{role}']", texts, count) for role, texts in findings.after.items()}
    images = None if findings.images is None else _texts("images", findings.images, count)
    if images is None and rule.about != "row":
        of_row = table.text["image"] if rule.about == "image" else [""] * len(table.alive)
        images = [of_row[row] if row >= 0 else "" for row in findings.rows]
    values, details = _texts("values", findings.values, count), _texts("details", findings.details, count)
    return Findings(findings.rows, values, details, after, images)


def _texts(what: str, texts: Sequence[str], count: int) -> list[str]:
    given = [texts] if isinstance(texts, str) else list(texts)
    if len(given) != count or not all(isinstance(text, str) for text in given):
        raise TypeError(f"{what} must be strings, one for each of the {count:,} rows")
    if faulty := next(filter(_NO_TEXT.search, given), None):
        raise ValueError(f"{what} has {quoted(faulty)}; a string must be one line of text, without control characters")
    return given


def _chosen(findings: Findings, places: Rows) -> Findings:
    def of(texts: Sequence[str]) -> list[str]:
        return [texts[place] for place in places]

    after = {role: of(texts) for role, texts in findings.after.items()}
    images = None if findings.images is None else of(findings.images)
    return Findings(findings.rows[places], of(findings.values), of(findings.details), after, images)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"

"""The page of an audit: the verdict, findings by rule, the table in figures, and findings in pictures."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cytoyolo.annotations.rules.registry import DROP, GROUP, MERGE, REVIEW, STAGED, STOP, Rule
from cytoyolo.annotations.table import LabelTable
from cytoyolo.report.charts import histogram
from cytoyolo.report.parts import Cell, Gallery, Link, Mark, Page, Part, Section, Share, Table, Tile, Tone, anchor_of
from cytoyolo.text import counted

# The most findings of each rule, groups of copies, and rows of a table that are shown.
PER_RULE, GROUPS, ROWS = 24, 48, 60
LEAK = "leak"
_TONES: dict[str, Tone] = {"error": "error", "warning": "warning", "info": "note"}
_WORDS = {"error": "error", "warning": "warning", "info": "note"}
# What `repair`, or a conversion, does about a finding.
_DOES = {
    STOP: "stops every use of the table",
    DROP: "removes the row",
    REVIEW: "nothing: a person decides",
    "keep": "nothing: it is no fault",
    GROUP: "keeps the images in the same part of a split",
    MERGE: "removes the row, the earlier row stays",
    "recode": "writes the class",
    "rename": "writes the name of the file",
    "swap": "puts the corners in order",
    "clip": "clips the box to the image",
    "turn": "turns the boxes with the picture",
}


def chosen(findings: pd.DataFrame) -> pd.DataFrame:
    """Return the findings that the page shows: at most PER_RULE of each rule, spread over the rule's findings."""
    parts = []
    for _, group in findings.groupby("rule", sort=False):
        parts.append(group.iloc[:: max(len(group) // PER_RULE, 1)].head(PER_RULE))
    return pd.concat(parts) if parts else findings


def audit_page(
    findings: pd.DataFrame,
    counts: pd.DataFrame,
    summary: Mapping[str, Any],
    policy: Mapping[str, Rule],
    table: LabelTable | None,
    tiles: Mapping[str, Sequence[Tile]],
    groups: Sequence[Tile],
) -> Page:
    """Arrange the page of an audit.

    Parameters
    ----------
    findings, counts, summary
        See `commands.audit.Audit`.
    policy : mapping
        The rules that were asked, by name.
    table : LabelTable or None
        The table that was audited; None if the file is not a table.
    tiles : mapping of str to sequence of Tile
        By rule, the findings in pictures.
    groups : sequence of Tile
        Images that show the same, side by side.
    """
    severities = summary["severities"]
    verdict, tone = _verdict(findings, severities)
    sections = [Section("Findings by rule", _overview(counts, summary["not_run"], policy))]
    if table is not None:
        sections.append(Section("Classes, boxes and images", _figures(table)))
    by_rule = dict(list(findings.groupby("rule", sort=False)))
    ordered = [str(name) for name in counts.sort_values("severity", key=_ranks, kind="stable")["rule"]]
    parts = {name: _of_rule(name, by_rule[name], policy[name], tiles.get(name, ())) for name in ordered}
    if LEAK in parts:
        sections.append(Section("Leaks into the test table", [parts.pop(LEAK)]))
    if groups:
        sections.append(Section("Images that show the same", [_copies(groups, findings, policy)]))
    sections.append(Section("Findings", [*parts.values()] or []))
    return Page(
        "Audit", str(summary["labels"]["name"]), verdict, tone, _cards(summary), [s for s in sections if s.parts]
    )


def _verdict(findings: pd.DataFrame, severities: Mapping[str, int]) -> tuple[str, Tone]:
    errors, warnings = severities["error"], severities["warning"]
    stopping = findings[findings["action"] == STOP]
    if len(stopping):
        return f"The table can't be used as it is: {stopping['rule'].iloc[0]}: {stopping['detail'].iloc[0]}", "error"
    if errors:
        people = int(((findings["severity"] == "error") & (findings["action"] == REVIEW)).sum())
        rest = f"; a person must look at {people:,} of them" if people else ""
        return f"{counted(errors, 'error')}. A repair mends what it can{rest}.", "error"
    if warnings:
        return f"No errors. {counted(warnings, 'warning')}: look at them before you train.", "warning"
    return "Nothing is wrong with this table.", "good"


def _cards(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    labels, images = summary["labels"], summary["images"]
    cards = [("rows", f"{labels['rows']:,}")]
    if labels.get("without_cells"):
        cards.append(("images without cells", f"{labels['without_cells']:,}"))
    cards.append(("images read", f"{images['read']:,}" if images else "no folder given"))
    cards += [(f"{_WORDS[name]}s", f"{number:,}") for name, number in summary["severities"].items()]
    return [*cards, ("rules not applied", f"{len(summary['not_run']):,}")]


def _ranks(severities: "pd.Series[str]") -> "pd.Series[int]":
    return severities.map(list(_TONES).index)


def _overview(counts: pd.DataFrame, not_run: Mapping[str, str], policy: Mapping[str, Rule]) -> list[Part]:
    rows: list[list[Cell]] = []
    for row in counts.sort_values("severity", key=_ranks, kind="stable").to_dict("records"):
        name, severity = str(row["rule"]), str(row["severity"])
        action = str(row["action"])
        does = "mends the staged copy of the image" if action in STAGED else _DOES.get(action, action)
        rows.append(
            [
                Link(name, anchor_of("rule", name)), Mark(_WORDS[severity], _TONES[severity]), int(row["findings"]),
                int(row["images"]), does,
            ]
        )  # fmt: skip
    columns = ["rule", "severity", "findings", "images", "a repair or a conversion"]
    parts: list[Part] = [Table("Findings by severity and rule", columns, rows)] if rows else []
    if not_run:
        left_out = [[name, reason] for name, reason in not_run.items()]
        parts.append(Table(f"Rules that were not applied: {len(not_run)}", ["rule", "why"], left_out, folded=True))
    return parts


def _figures(table: LabelTable) -> list[Part]:
    labels = np.flatnonzero(table.labels)
    parts: list[Part] = [_classes(table, labels)]
    sides = table.xyxy[labels, 2:] - table.xyxy[labels, :2]
    areas = (sides[:, 0] * sides[:, 1])[(sides > 0).all(axis=1)]
    if len(areas):
        parts.append(
            histogram(np.sqrt(areas), "Size of boxes", "square root of the area, in pixels", "boxes", log=True)
        )
    sizes = Counter((facts.width, facts.height) for facts in table.facts.values() if not facts.problem)
    if len(sizes) > 1:
        roots = [float(width * height) ** 0.5 for (width, height), count in sizes.items() for _ in range(count)]
        parts.append(histogram(roots, "Size of images", "square root of the area, in pixels", "images", log=True))
    if sizes:
        total = sizes.total()
        frequent = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
        rows: list[list[Cell]] = [
            [f"{width} x {height}", count, Share(count / total)] for (width, height), count in frequent[:10]
        ]
        rest = total - sum(count for _, count in frequent[:10])
        note = f"{counted(rest, 'image')} have other sizes." if rest else ""
        parts.append(Table("Sizes of images in pixels", ["width x height", "images", "share"], rows, note))
    return parts


def _classes(table: LabelTable, labels: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Table:
    codes = Counter(table.text["class"][labels].tolist())
    known = dict(zip(table.spec.codes, table.spec.names, strict=True))
    foreign = sorted(set(codes) - set(known), key=lambda code: (-codes[code], code))
    total, most = max(codes.total(), 1), max(codes.values(), default=1)
    ordered = [*sorted(known, key=lambda code: -codes[code]), *foreign]
    rows: list[list[Cell]] = []
    for code in ordered[:ROWS]:
        share = Share(codes[code] / total, full=most / total)
        rows.append([code or "(empty)", known.get(code, "not a class of the data set"), codes[code], share])
    rest = ordered[ROWS:]
    hidden = counted(sum(codes[code] for code in rest), "row")
    note = f"{len(rest):,} more classes with {hidden}." if rest else ""
    return Table("Rows by class", ["class", "name", "rows", "share"], rows, note)


def _of_rule(name: str, findings: pd.DataFrame, rule: Rule, tiles: Sequence[Tile]) -> Gallery | Table:
    """The findings of a rule in pictures, or as a table if there are none."""
    number = len(findings)
    severity = _WORDS[str(findings["severity"].iloc[0])]
    title = f"{name}: {counted(number, severity)}"
    shown = len(tiles) or min(number, PER_RULE)
    more = f"{shown} of {number:,} are shown, spread over the table; findings.csv lists all." if shown < number else ""
    if tiles:
        text = f"{_finds(rule)} {_LEGEND[rule.sheet]}"
        return Gallery(title, tiles, text, more, anchor=anchor_of("rule", name), folded=name != LEAK)
    rows = [_row(one) for one in chosen(findings).to_dict("records")]
    return Table(
        title,
        ["line", "image", "value", "detail"],
        rows,
        f"{_finds(rule)} {more}",
        folded=True,
        anchor=anchor_of("rule", name),
    )


def _finds(rule: Rule) -> str:
    """What a rule finds. Thresholds stand in the sentence, and after it if it does not name them."""
    text, rest = rule.text, list[str]()
    for name, value in rule.thresholds.items():
        if f"`{name}`" in text:
            text = text.replace(f"`{name}`", f"{value:g}")
        else:
            rest.append(f"{name} = {value:g}")
    return text.replace("`", "") + (f" ({', '.join(rest)}.)" if rest else "")


_LEGEND = {
    "box": "Thick and orange: the row of the finding. Thin and blue: other rows of the image.",
    "image": "Thin and blue: the rows of the image.",
    "pair": "The image of the finding, and the image that it names, each with its rows.",
    "none": "",
}


def _row(finding: Mapping[Hashable, Any]) -> list[Cell]:
    line = "-" if finding["line"] is None else f"{finding['line']:,}"
    return [line, str(finding["image"]), str(finding["value"]), str(finding["detail"])]


def _copies(groups: Sequence[Tile], findings: pd.DataFrame, policy: Mapping[str, Rule]) -> Gallery:
    rules = [name for name, rule in policy.items() if rule.copies]
    number = int(findings["rule"].isin(rules).sum())
    text = (
        f"{counted(number, 'image')} show the same as an earlier image. Each tile is a group, with its rows in blue. "
        "A split keeps groups together."
    )
    more = f"The {len(groups)} largest groups are shown; findings.csv lists all." if len(groups) == GROUPS else ""
    return Gallery("Groups side by side", groups, text, more)

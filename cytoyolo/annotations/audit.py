"""Audit a label table: ask every rule, and say what each finding's action would change. Nothing is changed here."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from cytoyolo.annotations.lines import Edit
from cytoyolo.annotations.rules import Rule
from cytoyolo.annotations.rules.own import ask
from cytoyolo.annotations.rules.registry import DROP, GROUP, MERGE, OFF, REVIEW, REWRITE, STOP, Findings
from cytoyolo.annotations.table import LabelTable, Rows
from cytoyolo.errors import CytoyoloError, option
from cytoyolo.images.duplicates import find_duplicates
from cytoyolo.text import listed_by_kind

COLUMNS = ("line", "image", "rule", "severity", "value", "action", "detail")


@dataclass(frozen=True)
class Audited:
    """The outcome of an audit.

    findings has the columns COLUMNS. `line` is the row's line in the file, or None for a row that the file does not
    have. For a finding about an image it is the line of the image's first row, or None without such a row. `table` is
    the table after the rules' actions, with the changes of its lines. `not_run` says for each rule that was not asked
    why. `policy` holds the rules as they were asked.
    """

    findings: pd.DataFrame
    table: LabelTable
    not_run: dict[str, str]
    policy: Mapping[str, Rule]

    @property
    def stopping(self) -> pd.DataFrame:
        """The findings for which the table must not be used."""
        return self.findings[self.findings["action"] == STOP]


def run(
    table: LabelTable, policy: Mapping[str, Rule], only: Sequence[str] | None = None, hasty: bool = False
) -> Audited:
    """Ask the rules of a policy in order, or `only` these in this order. Each rule sees the table after the actions of
    all earlier rules.

    Rows that must stop the use of the table are not examined further. If findings stop the table, a `hasty` audit ends
    before the first rule that needs the images, so that images are not read for nothing.
    """
    near = policy["near-duplicate"].thresholds
    table = table.comparing(partial(find_duplicates, distance=int(near["distance"]), correlation=near["correlation"]))
    tables, not_run, stopped, stops = [], dict[str, str](), "", False
    for rule in policy.values() if only is None else [policy[name] for name in only]:
        if hasty and stops and not rule.told_by_table:
            break
        reason = stopped or _reason_to_leave_out(rule, table)
        if reason:
            not_run[rule.name] = reason
            continue
        for found in ask(rule, table):
            tables.append(_table(rule, found, table))
            edit = _edit(rule, found, table)
            if edit is not None:
                table = table.edited(edit)
            stops |= rule.action == STOP
            if rule.about == "table" and rule.action == STOP:
                stopped = f"the table can't be used: {rule.name}"
            elif rule.action == STOP:
                table = table.without(_rows_of(found, table))
    findings = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
    return Audited(findings, table, not_run, policy)


def _reason_to_leave_out(rule: Rule, table: LabelTable) -> str:
    if rule.action == OFF:
        return "switched off"
    if rule.needs == "images" and not table.knows_images:
        return "needs the images"
    return "needs the test table" if rule.needs == "test" and table.test is None else ""


def _table(rule: Rule, found: Findings, table: LabelTable) -> pd.DataFrame:
    images = [table.text["image"][row] for row in found.rows] if found.images is None else found.images
    count = len(table.records.cells)  # new rows have no line in the file
    return pd.DataFrame(
        {
            "line": pd.Series([int(row) + 2 if 0 <= row < count else None for row in found.rows], dtype=object),
            "image": list(images),
            "rule": rule.name,
            "severity": rule.severity,
            "value": list(found.values),
            "action": rule.action,
            "detail": list(found.details),
        }
    )


def _edit(rule: Rule, found: Findings, table: LabelTable) -> Edit | None:
    """What the action changes in the table, if anything."""
    reasons = [
        f"{value}: {detail}" if value else detail for value, detail in zip(found.values, found.details, strict=True)
    ]
    if rule.action == DROP and rule.about == "image":
        by_image = dict(zip(found.images or (), reasons, strict=True))
        rows = _rows_of(found, table)
        return Edit(rule.name, rows, {}, [by_image[table.text["image"][row]] for row in rows]) if len(rows) else None
    if rule.action == DROP:
        return Edit(rule.name, found.rows, {}, reasons)
    if found.after and rule.action in REWRITE:
        return Edit(rule.name, found.rows, {role: list(values) for role, values in found.after.items()}, reasons)
    return Edit(rule.name, found.rows, {}, reasons) if rule.action == MERGE else None


def _rows_of(found: Findings, table: LabelTable) -> Rows:
    """The rows that findings are about: their own, or all rows of their images, ignore regions too."""
    return found.rows if found.images is None else table.with_ignore_regions(table.holds("image", found.images))


def same_group(table: LabelTable, policy: Mapping[str, Rule]) -> pd.Series:
    """Return the group (a number) of each labelled image that shows the same as another image, by name. A split keeps
    groups whole.

    A rule of copies only counts if its action is "group".
    """
    grouped = [rule.copies for rule in policy.values() if rule.copies and rule.action == GROUP]
    copies = table.copies[table.copies["kind"].isin(grouped)]
    group = pd.concat([copies.set_index(column)["group"] for column in ("image", "twin")])
    group = group[~group.index.duplicated() & group.index.isin(table.first_rows)]
    return pd.Series(group[group.duplicated(keep=False)])


def sentence(finding: Mapping[Hashable, Any]) -> str:
    """Describe a finding in words: its line, its rule, and what was seen."""
    where = f"line {finding['line']}: " if finding["line"] else ""
    return f"{where}{finding['rule']}: {', '.join(part for part in (finding['value'], finding['detail']) if part)}"


def schema_finding(sentence: str, policy: Mapping[str, Rule]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the finding about a file that is not a table, with the reason, and the rules that were not asked."""
    rule = policy["schema"]
    values = [[1, "", rule.name, rule.severity, "", rule.action, sentence]]
    not_run = dict.fromkeys((name for name in policy if name != rule.name), "the file is not a table")
    return pd.DataFrame(values, columns=list(COLUMNS)), not_run


def counts(findings: pd.DataFrame) -> pd.DataFrame:
    """Findings and images by rule, in the order of the findings: rule, severity, action, findings, images."""
    table = findings.groupby(["rule", "severity", "action"], sort=False).agg(
        findings=("rule", "size"), images=("image", lambda names: int(names[names != ""].nunique()))
    )
    return table.reset_index()


# What the user must do if a repair would help. `convert` can repair by itself.
MENDABLE = f"mend or delete them, or let {option('repair', True)} do it"


def refuse_stops(labels: Path, audited: Audited) -> None:
    """Raise CytoyoloError when findings say that the table must not be used."""
    refuse_findings(labels, audited.stopping, audited.policy, mendable=False)


def refuse_findings(labels: Path, stops: pd.DataFrame, policy: Mapping[str, Rule], mendable: bool) -> None:
    """Raise CytoyoloError if there are findings for which the table can't be used. `mendable`: no repair was tried
    yet."""
    if len(stops):
        whats = [sentence(stop) for stop in stops.to_dict("records")]
        number = f"{len(stops):,} finding{'s' if len(stops) > 1 else ''}"
        rules = [policy[name] for name in stops["rule"].unique()]
        # A repair helps unless it would stop for the same reason, or leave the finding to a person.
        mendable &= all(rule.registered_action not in (STOP, REVIEW) for rule in rules)
        remedy = MENDABLE if mendable else "mend or delete them"
        if len(rules) == 1 and rules[0].remedy:
            remedy = rules[0].remedy
        raise CytoyoloError(
            f"{labels} can't be used: {number} ({listed_by_kind(whats, list(stops['rule']))}); {remedy}."
        )

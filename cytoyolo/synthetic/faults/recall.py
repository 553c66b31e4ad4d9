"""Count which of the faults that were put into a data set an audit found, and which of them a repair corrected."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cytoyolo.annotations.rules import RULES, Rule
from cytoyolo.annotations.rules.registry import DROP
from cytoyolo.synthetic.faults.inject import TRAIN
from cytoyolo.tables.dialect import PLAIN

# Actions that change the table: the row must become its truth. Other actions do not change rows.
_CHANGES = {DROP, "recode", "rename", "turn", "swap", "clip", "merge"}


def read_faults(path: Path) -> pd.DataFrame:
    """Read a faults.csv. The column of the image names is called `image`."""
    table = pd.read_csv(path, keep_default_na=False, dtype=str).rename(columns={"NAME": "image"})
    return table.assign(line=pd.to_numeric(table["line"], errors="coerce").astype("Int64"))


def outcome(
    faults: pd.DataFrame, findings: pd.DataFrame, changes: pd.DataFrame, policy: Mapping[str, Rule] = RULES
) -> pd.DataFrame:
    """Count the faults that were found and corrected, for each rule.

    A fault is *found* if its rule has a finding about its row (or its image, if the rule is about images). It is
    *mended* if a repair made the row equal to its truth, or dropped a row without a truth. It does not matter if the
    repair later dropped the row for another reason.

    Parameters
    ----------
    faults : DataFrame
        A faults.csv, see `read_faults`.
    findings : DataFrame
        The findings of an audit of its train.csv.
    changes : DataFrame
        The change log of a repair.
    policy : mapping
        The rules with their actions.

    Returns
    -------
    DataFrame
        rule, action, put_in, found and mended (NaN if the action changes no rows).
    """
    after = changes.groupby("line")["after"].agg(list).to_dict()
    rows = []
    for name, group in faults[faults["table"] == TRAIN].groupby("rule", sort=False):
        rule = policy[str(name)]
        found = set(keys(findings[findings["rule"] == name], rule))
        mended = float("nan")
        if rule.action in _CHANGES:
            truths = zip(group["line"], group["truth"], strict=True)
            mended = float(sum(_is_among(after.get(int(line), []), truth) for line, truth in truths))
        rows.append((name, rule.action, len(group), sum(key in found for key in keys(group, rule)), mended))
    return pd.DataFrame(rows, columns=["rule", "action", "put_in", "found", "mended"])


def keys(table: pd.DataFrame, rule: Rule) -> list[object]:
    """Return what identifies a rule's faults or findings: the line of a row, or the name of an image."""
    return list(table["line"] if rule.about == "row" else table["image"])


def _is_among(steps: list[str], truth: str) -> bool:
    """Tell whether a step of the repair made a row equal to its truth. The truth of a row to drop is empty."""
    return truth in steps or (truth != "" and PLAIN.split(truth) in [PLAIN.split(step) for step in steps if step])

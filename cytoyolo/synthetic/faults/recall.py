"""What an audit made of faults that were put in: which were found, and which a repair mended."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cytoyolo.annotations.rules import RULES, Rule
from cytoyolo.annotations.rules.registry import DROP
from cytoyolo.synthetic.faults.inject import TRAIN
from cytoyolo.tables.dialect import PLAIN

# Actions that change the table, so that the row must become its truth; others leave the row to a person or a split.
_CHANGES = {DROP, "recode", "rename", "turn", "swap", "clip", "merge"}


def read_faults(path: Path) -> pd.DataFrame:
    """A faults.csv, with the column `image` for the image names."""
    table = pd.read_csv(path, keep_default_na=False, dtype=str).rename(columns={"NAME": "image"})
    return table.assign(line=pd.to_numeric(table["line"], errors="coerce").astype("Int64"))


def outcome(
    faults: pd.DataFrame, findings: pd.DataFrame, changes: pd.DataFrame, policy: Mapping[str, Rule] = RULES
) -> pd.DataFrame:
    """By rule: rule, action, put_in, found and mended (NaN where the action leaves the rows as they are).

    faults is a faults.csv with the column `image`, findings those of an audit of its train.csv, changes the log of a
    repair. A fault is found when its rule has a finding about its row or, for a rule about images, its image; mended
    when the repair made its row what the truth says, or dropped it where there is none; that it may have dropped a
    mended row for another reason does not count.
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
    """What a rule's faults or findings go by: the line of a row, or the name of an image."""
    return list(table["line"] if rule.about == "row" else table["image"])


def _is_among(steps: list[str], truth: str) -> bool:
    """Whether one of the steps of a row made it its truth; that of a row to drop is empty."""
    return truth in steps or (truth != "" and PLAIN.split(truth) in [PLAIN.split(step) for step in steps if step])

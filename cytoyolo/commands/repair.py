"""`repair`: a label table with the faults mended that have one right answer, and a log that takes it back."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations import repair as repairing
from cytoyolo.annotations.audit import Audited, load_policy
from cytoyolo.annotations.rules import RULES
from cytoyolo.annotations.rules.registry import REVIEW, STOP
from cytoyolo.classes import load_spec
from cytoyolo.commands.opening import open_labels, optional
from cytoyolo.dialect import read_sheet
from cytoyolo.errors import CytoyoloError, UsageError, listed
from cytoyolo.files import atomic_file, read_bytes
from cytoyolo.records import read_header, read_table_bytes
from cytoyolo.tables import check_writable, note_form

CHANGES = "changes.csv"
# Findings that a refusal names.
SHOWN = 5
# What is to be done where a repair would help; `convert` can do one by itself.
MENDABLE = "mend or delete them, or let --repair do it"


@dataclass(frozen=True)
class Repaired:
    """What `repair` made: the table, the log (line, rule, before, after, line_end, reason), and the rows that are left.

    review is the number of findings left for a person to look at.
    """

    table: Path
    log: Path
    changes: pd.DataFrame
    rows: int
    review: int


def repair(
    labels: str | Path,
    *,
    output: str | Path,
    images: str | Path | None = None,
    test: str | Path | None = None,
    changes: str | Path | None = None,
    dataset: str | Path = "cytologia",
    config: str | Path | None = None,
    skip: Iterable[str] = (),
    overwrite: bool = False,
) -> Repaired:
    """Audit a label table and carry out the actions of the findings; each change is logged.

    The log is written to `changes`, by default changes.csv beside the output. Rules of `skip` only report. Raises
    UsageError for a wrong call and CytoyoloError where a finding says that the table must not be used.
    """
    labels, output = Path(labels), Path(output)
    log = output.with_name(CHANGES) if changes is None else Path(changes)
    policy, spec = load_policy(config, tuple(skip)), load_spec(dataset)
    _check_output(output, (labels, log, test, config))
    _check_output(log, (labels, test, config))
    check_writable(log, repairing.COLUMNS, overwrite)
    opened = open_labels(labels, read_table_bytes(labels), spec, images=optional(images), test=optional(test))
    note_form(labels, opened.records)
    check_writable(output, opened.records.header, overwrite)
    audited = auditing.run(opened.view, policy)
    refuse_stops(labels, audited)
    if not audited.view.alive.any():
        raise CytoyoloError(f"{labels}: no row is left that can be used; `cytoyolo audit` says why.")
    table, made = repairing.repair(opened.records, audited.edits)
    # Neither is in its place before both are written.
    with atomic_file(output) as new_table, atomic_file(log) as new_log:
        new_table.write_bytes(table)
        made.to_csv(new_log, index=False, lineterminator="\n")
    review = int((audited.findings["action"] == "review").sum())
    return Repaired(output, log, made.iloc[1:], int(audited.view.alive.sum()), review)


def undo(
    labels: str | Path, changes: str | Path, *, output: str | Path | None = None, overwrite: bool = False
) -> bytes:
    """Take a change log back: the table it was made from, byte for byte, which is written to `output` if given.

    Raises CytoyoloError for the log of another table.
    """
    return _by_log(repairing.undo, Path(labels), Path(changes), output, overwrite)


def replay(
    labels: str | Path, changes: str | Path, *, output: str | Path | None = None, overwrite: bool = False
) -> bytes:
    """Carry a change log out again on the table it was made for; the result is written to `output` if given.

    Raises CytoyoloError for any other table.
    """
    return _by_log(repairing.replay, Path(labels), Path(changes), output, overwrite)


def _by_log(
    work: Callable[[bytes, pd.DataFrame], bytes],
    labels: Path,
    changes: Path,
    output: str | Path | None,
    overwrite: bool,
) -> bytes:
    made = work(read_table_bytes(labels), read_log(changes))
    if output is not None:
        _check_output(Path(output), (labels, changes))
        check_writable(Path(output), read_header(labels, made, "")[1], overwrite)
        with atomic_file(Path(output)) as temporary:
            temporary.write_bytes(made)
    return made


def refuse_stops(labels: Path, audited: Audited, mendable: bool = False) -> None:
    """Raise CytoyoloError when findings say that the table must not be used; `mendable` if a repair was not tried."""
    stops = audited.stopping
    if len(stops):
        whats = [auditing.sentence(one) for one in stops.head(SHOWN + 1).to_dict("records")]
        number = f"{len(stops):,} finding{'s' if len(stops) > 1 else ''}"
        rules = set(stops["rule"])
        # A repair helps unless it would stop for the same reason, or leave it to a person.
        mendable &= all(RULES[rule].action not in (STOP, REVIEW) for rule in rules)
        remedy = MENDABLE if mendable else "mend or delete them"
        if rules == {"unsupported"}:
            drop = "`cytoyolo repair` with a --config of `unsupported: {action: drop}`"
            remedy = f"do as said, or leave these images out by {drop}"
        raise CytoyoloError(f"{labels} can't be used: {number} ({listed(whats, SHOWN, len(stops))}); {remedy}.")


def read_log(path: Path) -> pd.DataFrame:
    """A change log. Raises CytoyoloError when the file is none; further columns are not looked at."""
    try:
        sheet = read_sheet(read_bytes(path))
        text = io.StringIO(sheet.text, newline="")
        rows = list(csv.reader(text, strict=True, delimiter=sheet.dialect.delimiter))
        if len(set(rows[0])) != len(rows[0]) or {len(row) for row in rows} != {len(rows[0])}:
            raise ValueError("a column is there twice, or not in every row")
        table = pd.DataFrame(rows[1:], columns=rows[0], dtype=str)[repairing.COLUMNS]
        return table.assign(line=table["line"].astype(int))
    except (csv.Error, ValueError, KeyError, IndexError, OverflowError) as error:
        raise CytoyoloError(f"{path} is not a change log of `cytoyolo repair`; give the log it wrote.") from error


def _check_output(path: Path, inputs: Iterable[str | Path | None]) -> None:
    """Refuse to write over an input."""
    if any(one is not None and Path(one).resolve() == path.resolve() for one in inputs):
        raise UsageError(f"{path} is an input or the change log too; give another name.")

"""The state of a review, and its export: a change log, or the label table of signed slides."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cytoyolo import console
from cytoyolo.annotations.changes import COLUMNS
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.repair import check_output
from cytoyolo.commands.review_cells import CellsState, cells_state
from cytoyolo.errors import OVERWRITE, CytoyoloError, UsageError, quoted
from cytoyolo.files import atomic_file, read_bytes
from cytoyolo.reviewing.export import WITNESSES, agreement, edited, merged
from cytoyolo.reviewing.store import CELLS, Store
from cytoyolo.tables.table import XYXY, check_writable, sha256, write_table

# The endings of what stands beside an export: disagreements, the table as it was, and signed slides.
CONFLICTS, REVIEWED, SIGNED = ".conflicts.csv", ".reviewed-table.csv", ".signed.csv"


@dataclass(frozen=True, eq=False)
class Reviewed:
    """The state of a review.

    Attributes
    ----------
    review : Path
        The file of the review.
    items : int
        How many labels, cells and images there are to decide.
    reviewers : DataFrame
        reviewer, decided, skipped and left. For a prediction: reviewer, corrected (cells), signed (slides) and slides.
    agreement : DataFrame
        reviewer_a, reviewer_b, both (what both decided), same (with the same class) and kappa (Cohen's kappa).
    conflicts : DataFrame
        What reviewers disagree on, a row for each of them. It is not exported; for a prediction, the cells are
        exported as ignore regions.
    output : Path or None
        The change log that was written; for a prediction, the label table.
    """

    review: Path
    items: int
    reviewers: pd.DataFrame
    agreement: pd.DataFrame
    conflicts: pd.DataFrame
    output: Path | None = None


def state_of(store: Store, only: str | None) -> tuple[Reviewed, Callable[[Path, bool], None]]:
    """The state of a review, of all reviewers or `only` one; and what writes the export to a path."""
    table = LabelTable.parse(Path(store.about.source), store.about.table, store.about.spec)
    by_reviewer = {name: one for name, one in store.histories.items() if only in (None, name)}
    if store.about.kind == CELLS:
        cells = cells_state(store, table, by_reviewer)
        count = int(table.labels.sum())
        state = Reviewed(store.path, count, cells.reviewers, cells.agreement, cells.made.conflicts)
        return state, lambda path, overwrite: _write_cells(store, cells, path, overwrite)
    rows = []
    for name, history in sorted(by_reviewer.items()):
        states = [history.decision(item.subject) for item in store.items]
        skipped = sum(one is not None and one.outcome.state == "open" for one in states)
        left = states.count(None)
        rows.append((name, len(states) - skipped - left, skipped, left))
    reviewers = pd.DataFrame(rows, columns=["reviewer", "decided", "skipped", "left"])
    made = merged(by_reviewer, table, store.items)
    agreed = agreement(by_reviewer, table, store.items)
    state = Reviewed(store.path, len(store.items), reviewers, agreed, made.conflicts)
    return state, lambda path, overwrite: _write_log(
        store, edited(table, made.verdicts, store.items)[1], path, overwrite
    )


def export_review(path: Path, output: Path, only: str | None, overwrite: bool) -> Reviewed:
    """Write what was decided, and beside it what the reviewers disagree on."""
    if not path.exists():
        raise UsageError(f"{path}: no such review; give the file that `cytoyolo review` made.")
    store = Store(path)
    conflicts = output.with_name(f"{output.stem}{CONFLICTS}")
    for one in (output, conflicts):
        check_output(one, (path, store.about.source))
    if only is not None and only not in store.histories:
        known = ", ".join(store.histories) or "none yet"
        raise UsageError(f"{path} holds no decision of {quoted(only)}; its reviewers are {known}.")
    state, write = state_of(store, only)
    check_writable(conflicts, list(state.conflicts.columns), overwrite=True)
    write(output, overwrite)
    conflicts.unlink(missing_ok=True)
    if len(state.conflicts):
        write_table(conflicts, state.conflicts)
    return replace(state, output=output)


def _write_log(store: Store, changes: pd.DataFrame, path: Path, overwrite: bool) -> None:
    """Write a change log. If the table was changed since, the table as it was reviewed is written beside it."""
    about, kept = store.about, path.with_name(f"{path.stem}{REVIEWED}")
    check_output(kept, (store.path, about.source))
    check_writable(path, [*COLUMNS, *WITNESSES], overwrite)
    source = Path(about.source)
    changed = not source.is_file() or sha256(source.read_bytes()) != about.sha256
    if changed and kept.exists() and not overwrite and read_bytes(kept) != about.table:
        raise UsageError(
            f"{kept} exists, and the table that was reviewed goes there; give another name or {OVERWRITE}."
        )
    with atomic_file(path) as temporary:
        changes.to_csv(temporary, index=False, lineterminator="\n")
    if changed:
        with atomic_file(kept) as temporary:
            temporary.write_bytes(about.table)
        console.warn(f"{source} is not the table that was reviewed. The log belongs to {kept}, which holds that table.")


def _write_cells(store: Store, cells: CellsState, path: Path, overwrite: bool) -> None:
    """Write the cells of signed slides as a label table, and beside it who signed which slide."""
    if not len(cells.signed):
        raise CytoyoloError(f"{store.path} has no signed slide; sign slides on the page, then export their cells.")
    beside = path.with_name(f"{path.stem}{SIGNED}")
    check_output(beside, (store.path, store.about.source))
    rows = cells.made.rows.rename(columns=store.about.spec.column_map("image", *XYXY, "class"))
    check_writable(beside, list(cells.signed.columns), overwrite)
    write_table(path, rows, overwrite)
    write_table(beside, cells.signed, overwrite)

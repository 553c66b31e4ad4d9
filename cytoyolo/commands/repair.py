"""`repair`: mend the faults of a label table that have one right answer, and write a log that can undo it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cytoyolo import defaults
from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.audit import refuse_stops
from cytoyolo.annotations.background import check_background, with_background
from cytoyolo.annotations.changes import COLUMNS, change_log
from cytoyolo.annotations.policy import load_policy, own_files
from cytoyolo.annotations.table import LabelTable
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.files import atomic_file
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import check_writable, note_form

CHANGES = "changes.csv"


@dataclass(frozen=True, eq=False)
class Repaired:
    """The result of `repair`.

    Attributes
    ----------
    table : Path
        The repaired table.
    log : Path
        The change log, which `undo` reads.
    changes : DataFrame
        The content of the change log: line, rule, before, after, line_end and reason.
    rows : int
        How many rows the repaired table has.
    review : int
        How many findings are left for a person to look at.
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
    background: str | Path | None = None,
    changes: str | Path | None = None,
    dataset: str | Path = defaults.DATASET,
    config: str | Path | None = None,
    skip: str | Iterable[str] = (),
    overwrite: bool = False,
) -> Repaired:
    """Audit a label table and do what the findings' actions say. Each change is logged.

    Parameters
    ----------
    labels : str or Path
        The label table. It is not changed.
    output : str or Path
        The repaired table to write.
    images : str or Path, optional
        The image folder, to use what the images tell.
    test : str or Path, optional
        The test table. Rows of images that leak into it are dropped.
    background : str or Path, optional
        Images of the folder that have no cells: a table or text file with their names, or a folder in the image folder.
        They become rows with only a name.
    changes : str or Path, optional
        The change log to write, by default changes.csv beside the output.
    dataset : str or Path
        The data set: a name of this package, or a YAML file.
    config : str or Path, optional
        A YAML file that changes rules of the audit.
    skip : str or iterable of str
        Rules whose findings are left as they are.
    overwrite : bool
        Replace an existing output of `repair`.

    Returns
    -------
    Repaired

    Raises
    ------
    UsageError
        For a wrong call.
    CytoyoloError
        If a finding says that the table must not be used.

    Examples
    --------
    >>> from pathlib import Path
    >>> import cytoyolo
    >>> rows = ["NAME,x1,y1,x2,y2,class", "a.png,10,20,80,90,PNN", "b.png,70,60,20,15,LY", "c.png,5,5,5,60,MO"]
    >>> _ = Path("labels.csv").write_text("\\n".join(rows))
    >>> repaired = cytoyolo.repair("labels.csv", output="repaired.csv")
    >>> repaired.changes[["line", "rule"]].to_dict("records")
    [{'line': 3, 'rule': 'inverted'}, {'line': 4, 'rule': 'zero-side'}]
    >>> cytoyolo.undo("repaired.csv", "changes.csv") == Path("labels.csv").read_bytes()
    True
    """
    labels, output = Path(labels), Path(output)
    log = output.with_name(CHANGES) if changes is None else Path(changes)
    policy, spec = load_policy(config, skip), load_spec(dataset)
    check_background(background, images)
    others = (labels, test, background, config, *own_files(policy))
    check_output(output, (*others, log))
    check_output(log, others)
    check_writable(log, COLUMNS, overwrite)
    given = LabelTable.from_csv(labels, spec, images=images, test=test)
    note_form(labels, given.records)
    check_writable(output, given.records.header, overwrite)
    audited = auditing.run(with_background(labels, given, background), policy)
    refuse_stops(labels, audited)
    if not audited.table.alive.any():
        raise CytoyoloError(f"{labels}: no row can be used; `cytoyolo audit` says why.")
    table, changelog = change_log(audited.table.lines)
    # Neither is in its place before both are written.
    with atomic_file(output) as new_table, atomic_file(log) as new_log:
        new_table.write_bytes(table)
        changelog.to_csv(new_log, index=False, lineterminator="\n")
    review = int((audited.findings["action"] == "review").sum())
    return Repaired(output, log, changelog.iloc[1:], int(audited.table.alive.sum()), review)


def check_output(path: Path, inputs: Iterable[str | Path | None]) -> None:
    """Refuse to write over an input."""
    if any(one is not None and Path(one).resolve() == path.resolve() for one in inputs):
        raise UsageError(f"{path} is also an input or the change log; give another name.")

"""`undo`: the label table that a change log was made from, byte for byte."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cytoyolo.annotations import changes as logs
from cytoyolo.commands.repair import check_output
from cytoyolo.errors import CytoyoloError
from cytoyolo.files import atomic_file
from cytoyolo.tables.kinds import labels_fault
from cytoyolo.tables.records import read_header, read_table_bytes
from cytoyolo.tables.table import check_writable


def undo(
    labels: str | Path, changes: str | Path, *, output: str | Path | None = None, overwrite: bool = False
) -> bytes:
    """Take a change log back.

    Parameters
    ----------
    labels : str or Path
        The table that the log's changes are in, as `repair` or `curate` wrote it.
    changes : str or Path
        The change log that was written with it.
    output : str or Path, optional
        Where to write the earlier table; without it the table is only returned.
    overwrite : bool
        Replace an output that holds a table of the same columns.

    Returns
    -------
    bytes
        The table as it was before the changes, byte for byte.

    Raises
    ------
    UsageError
        For an output that may not be written.
    CytoyoloError
        For the log of another table, or a log that was changed.

    Examples
    --------
    >>> from pathlib import Path
    >>> import cytoyolo
    >>> made = cytoyolo.repair("faulty.csv", output="clean.csv")
    >>> cytoyolo.undo(made.table, made.log) == Path("faulty.csv").read_bytes()
    True
    """
    return by_log(logs.undo, Path(labels), Path(changes), output, overwrite)


def by_log(
    work: Callable[[bytes, pd.DataFrame], bytes],
    labels: Path,
    changes: Path,
    output: str | Path | None,
    overwrite: bool,
) -> bytes:
    """The table that `work` makes of a table and a change log, written to `output` if that is given."""
    if fault := labels_fault(labels):
        raise CytoyoloError(fault)
    table = work(read_table_bytes(labels), logs.read_log(changes))
    if output is not None:
        check_output(Path(output), (labels, changes))
        check_writable(Path(output), read_header(labels, table, "")[1], overwrite)
        with atomic_file(Path(output)) as temporary:
            temporary.write_bytes(table)
    return table

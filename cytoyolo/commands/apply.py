"""`apply`: a change log carried out again on the label table that it was made for."""

from pathlib import Path

from cytoyolo.annotations import changes as logs
from cytoyolo.commands.undo import by_log


def apply(
    labels: str | Path, changes: str | Path, *, output: str | Path | None = None, overwrite: bool = False
) -> bytes:
    """Carry a change log out again.

    Parameters
    ----------
    labels
        The table that the log was made for, as it was before the changes.
    changes
        The change log of `repair` or `curate`.
    output
        Where to write the changed table; without it the table is only returned.
    overwrite
        Replace an output that holds a table of the same columns.

    Returns
    -------
    bytes
        The table with the changes, byte for byte as the command that wrote the log made it.

    Raises
    ------
    UsageError
        For an output that may not be written.
    CytoyoloError
        For any other table than the log's, or a log that was changed.
    """
    return by_log(logs.apply, Path(labels), Path(changes), output, overwrite)

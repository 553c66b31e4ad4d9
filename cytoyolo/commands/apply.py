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
    labels : str or Path
        The table that the log was made for, as it was before the changes.
    changes : str or Path
        The change log of `repair` or `curate`.
    output : str or Path, optional
        Where to write the changed table; without it the table is only returned.
    overwrite : bool
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

    Examples
    --------
    >>> from pathlib import Path
    >>> import cytoyolo
    >>> made = cytoyolo.repair("faulty.csv", output="clean.csv")
    >>> cytoyolo.apply("faulty.csv", made.log) == Path("clean.csv").read_bytes()
    True
    """
    return by_log(logs.apply, Path(labels), Path(changes), output, overwrite)

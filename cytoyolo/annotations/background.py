"""Images without cells that are listed beside the label table: each becomes a row of the table with only a name."""

from pathlib import Path

import numpy as np

from cytoyolo.annotations.lines import Edit
from cytoyolo.annotations.table import LabelTable
from cytoyolo.errors import CytoyoloError, UsageError, listed, option, quoted
from cytoyolo.images.folder import image_files, match_in_folder
from cytoyolo.spec import DataSpec
from cytoyolo.tables.dialect import SchemaError, read_sheet
from cytoyolo.tables.frame import Frame
from cytoyolo.tables.records import read_records, read_table_bytes
from cytoyolo.tables.table import fingerprint, refuse

# The name under which the new rows stand in a change log.
BACKGROUND = "background"


def check_background(background: str | Path | None, images: str | Path | None) -> None:
    """Raise UsageError if images without cells are listed, but no image folder is given."""
    if background is not None and images is None:
        raise UsageError(f"{option('background')} needs {option('images')}; give both or neither.")


def background_facts(background: str | Path | None) -> dict[str, object]:
    """What a manifest says of the list of images without cells: its name and SHA-256. A folder has only a name."""
    if background is None:
        return {}
    path = Path(background)
    return {BACKGROUND: {"name": path.name, **({} if path.is_dir() else {"sha256": fingerprint(path)})}}


def with_background(labels: str | Path | Frame, table: LabelTable, background: str | Path | None) -> LabelTable:
    """Add a row for each image that a file lists, or that a folder in the image folder holds, as an image without
    cells.

    An image that already has such a row gets no second row. The new rows are an edit of the table, so that a change log
    contains them and `undo` takes them back.

    Parameters
    ----------
    labels : str, Path or Frame
        The label table, as messages call it.
    table : LabelTable
        The table, with its image folder.
    background : str, Path or None
        A table with a column of image names, a text file with a name in each line, or a folder in the image folder.

    Returns
    -------
    LabelTable
        The table with the new rows.

    Raises
    ------
    UsageError
        If there is no such file.
    CytoyoloError
        If the file lists no image, a name means no image of the folder, or an image has labels.
    """
    if background is None or table.listing is None:
        return table
    path = Path(background)
    files = _files_below(path, table) if path.is_dir() else _files_listed(path, table)
    named = match_in_folder(table.first_rows, table.listing).file
    labelled = {named.get(name, name) for name in table.text["image"][table.labels]}
    if both := [file for file in files if file in labelled]:
        raise CytoyoloError(
            f"{path} lists {len(both):,} of {len(files):,} images that have labels in {labels} ({_shown(both)}); an "
            "image without cells has no label, so correct one of the two."
        )
    empty = {named.get(name, name) for name in table.text["image"][table.empty]}
    new = [file for file in files if file not in empty]
    count = len(table.alive)
    rows = np.arange(count, count + len(new), dtype=np.int64)
    reasons = [f"an image without cells, by {path.name}"] * len(new)
    return table.edited(Edit(BACKGROUND, rows, {"image": new}, reasons)) if new else table


def _files_below(folder: Path, table: LabelTable) -> list[str]:
    """The images of a folder that lies in the image folder, as names of that folder."""
    assert table.folder is not None, "images without cells need the image folder"
    try:
        prefix = folder.resolve().relative_to(table.folder.path.resolve()).as_posix()
    except ValueError as error:
        raise CytoyoloError(
            f"{folder} does not lie in {table.folder.path}, the image folder; move it there, or list its images."
        ) from error
    files = [name for name in image_files(table.listing or ()) if prefix == "." or name.startswith(f"{prefix}/")]
    if not files:
        raise CytoyoloError(f"{folder} holds no images; give a folder that does, or a list of names.")
    return files


def _files_listed(path: Path, table: LabelTable) -> list[str]:
    """The images of the image folder that the names in a file mean."""
    names = _names(path, table.spec)
    found = match_in_folder(names, table.listing or ())
    if lost := [name for name in names if name not in found.file]:
        several = next((found.candidates[name] for name in lost if found.candidates.get(name)), None)
        hint = f"{quoted(lost[0])} may be {listed(list(several), 3)}; write" if several else "write"
        raise CytoyoloError(
            f"{path} lists {len(lost):,} of {len(names):,} names that mean no image of the image folder "
            f"({_shown(lost)}); {hint} the paths of the files in that folder."
        )
    return list(dict.fromkeys(found.file[name] for name in names))


def _names(path: Path, spec: DataSpec) -> list[str]:
    """The names in a table with the column of image names, or in the lines of a text file without this column."""
    try:
        records = read_records(path, spec.column_map("image"), empty=True)
        refuse(path, records.broken, "correct or delete them")
        names = records.column("image")
    except SchemaError as error:
        try:
            names = read_sheet(read_table_bytes(path), joined=False).rows
        except ValueError:
            raise error from None
        if any("," in name or ";" in name or "\t" in name for name in names[:1]):
            raise  # a table without that column
    names = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not names:
        raise CytoyoloError(f"{path} lists no image; give a name of an image without cells in each line.")
    return names


def _shown(names: list[str]) -> str:
    return listed([quoted(name) for name in names], 3)

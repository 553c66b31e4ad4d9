"""The folds of a cross-validation on disk: the table and the weights of each fold, checked before they are used."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.commands.train_folder import MANIFEST
from cytoyolo.detector.table import TableForm, read_detections
from cytoyolo.errors import CytoyoloError, listed, option
from cytoyolo.tables.table import fingerprint
from cytoyolo.yolo.folder import Dataset
from cytoyolo.yolo.verify import read_listing

# The weights of a fold's training that are used: no epoch was validated on the fold.
LAST = Path("weights") / "last.pt"


def fold_table(folder: Path, fold: int) -> Path:
    """Return the file of what the model of a fold found in the images of the fold."""
    return folder / f"fold{fold}.csv"


def undone(folder: Path, folds: int) -> list[int]:
    """Return the folds that have no table yet."""
    return [fold for fold in range(folds) if not fold_table(folder, fold).is_file()]


def unbegun(folder: Path, folds: int) -> list[int]:
    """Return the folds without a table whose training has not begun. Only these still read the weights that they start
    from."""
    return [fold for fold in undone(folder, folds) if not (folder / f"fold{fold}" / MANIFEST).is_file()]


def joined_tables(
    folder: Path, data: Dataset, form: TableForm, labels: tuple[NDArray[np.object_], NDArray[np.object_]] | None = None
) -> pd.DataFrame:
    """Join the tables of all folds, as texts, in the order of the images of the data set.

    Parameters
    ----------
    folder : Path
        The folder of the cross-validation.
    data : Dataset
        The YOLO folder that it is of.
    form : TableForm
        The form of the tables.
    labels : tuple of arrays (n,), optional
        The image and the class of each labelled cell. A table must have just the cells of its fold, in this order.

    Raises
    ------
    CytoyoloError
        For a table that is damaged, or has other images or cells than its fold.
    """
    column = data.spec.columns["image"]
    listing = read_listing(data).drop_duplicates(column)  # the tiles of an image have rows of their own
    parts = []
    for fold in range(data.manifest["folds"]):
        own = listing.loc[listing["part"] == str(fold), column]
        rows = _rows_of_fold(fold_table(folder, fold), data, form, own)
        if labels is not None:
            _check_labels(fold_table(folder, fold), rows, data, own, labels)
        parts.append(rows)
    whole = pd.concat(parts)
    place = pd.Series(range(len(listing)), index=listing[column])
    return whole.iloc[np.argsort(place[whole[column]].to_numpy(), kind="stable")]


def _rows_of_fold(path: Path, data: Dataset, form: TableForm, names: pd.Series) -> pd.DataFrame:
    """The rows of a fold's table, as texts. `names` are the images of the fold."""
    header = form.header(data.spec, data.spec.codes)
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError:  # what pandas raises for all that is no table
        rows = pd.DataFrame()
    if list(rows) != header:
        raise CytoyoloError(f"{path} is damaged: it has not the columns {','.join(header)}; {_remedy()}.")
    read_detections(path, data.spec, replace(form, remedy=_remedy()))
    own, found = set(names), set(rows[data.spec.columns["image"]])
    for images, words in ((own - found, "lacks images of its fold"), (found - own, "has images of no or another fold")):
        if images:
            raise CytoyoloError(f"{path} {words} ({listed(sorted(images))}); {_remedy()}.")
    return rows


def _check_labels(
    path: Path, rows: pd.DataFrame, data: Dataset, names: pd.Series,
    labels: tuple[NDArray[np.object_], NDArray[np.object_]],
) -> None:  # fmt: skip
    """Raise CytoyoloError if a table has other labelled cells than its fold."""
    image, code = labels
    own = np.isin(image, names.to_numpy(object))
    cells = rows[rows["confidence"] != ""]
    columns = [cells[data.spec.columns[role]].tolist() for role in ("image", "class")]
    if columns != [_by_image(values[own], image[own], names) for values in (image, code)]:
        raise CytoyoloError(f"{path} has other cells, or other classes of them, than {data.folder}; {_remedy()}.")


def _by_image(values: NDArray[np.object_], image: NDArray[np.object_], names: pd.Series) -> list[str]:
    """Order values of cells by the images of the cells, as in the tables."""
    place = pd.Index(names).get_indexer(pd.Index(image))
    return [str(value) for value in values[np.argsort(place, kind="stable")]]


def _remedy() -> str:
    return f"delete it, and the same call with {option('resume', True)} predicts the fold again"


def check_finished(folder: Path, hashes: Sequence[str]) -> None:
    """Raise CytoyoloError if weights of a finished cross-validation are not those that their tables are of.

    A fold without a table is predicted again, so its weights may be other ones.
    """
    for fold, sha256 in enumerate(hashes):
        if fold_table(folder, fold).is_file():
            check_unchanged(folder / f"fold{fold}" / LAST, sha256)


def check_unchanged(path: Path, sha256: str) -> None:
    """Raise CytoyoloError if a file of finished folds is missing, or is not as it was."""
    if not path.is_file():
        raise CytoyoloError(f"{path} is missing; put it back, or train the folds again.")
    if fingerprint(path) != sha256:
        raise CytoyoloError(
            f"{path} has changed since the folds were finished; put the former file back, or train the folds again."
        )


def weights_hashes(folder: Path, folds: int) -> list[str]:
    """Return the SHA-256 of the weights of each fold. Raises CytoyoloError if they are missing."""
    hashes = []
    for fold in range(folds):
        path = folder / f"fold{fold}" / LAST
        if not path.is_file():
            raise CytoyoloError(
                f"{path} is missing; put it back, or delete {path.parents[1]} and {fold_table(folder, fold)}, and the "
                f"same call with {option('resume', True)} trains the fold again."
            )
        hashes.append(fingerprint(path))
    return hashes

"""Check that a YOLO folder is still as `convert` made it: a training reads its files, and records its manifest."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo import console
from cytoyolo.annotations.labels import name_fault
from cytoyolo.errors import CytoyoloError, listed
from cytoyolo.images.info import digest
from cytoyolo.machine import cores
from cytoyolo.tables.table import fingerprint
from cytoyolo.yolo.folder import (
    CONVERT_AGAIN,
    LABELS,
    LISTING,
    ROWS,
    SOURCE,
    STAGED,
    Dataset,
    data_yaml,
    list_files,
    list_names,
)

_NEEDED = ("file", "width", "height", "part", "group", STAGED, "labels_blake2b")


def verify(data: Dataset, fold: int | None) -> None:
    """Raise CytoyoloError that names files of the folder that are missing or are not what `convert` wrote.

    Ultralytics would leave out missing images silently, and would follow a changed YAML or list anywhere: it even
    runs code that a YAML's `download` gives. It would read copies of images that its setting cache=disk has left.
    """
    listing = read_listing(data)
    if copies := _copies(data.folder / "images", listing["file"]):
        raise CytoyoloError(
            f"{data.folder / 'images'} has copies (.npy) that Ultralytics would read in place of the images "
            f"({listed(copies)}); delete the copies."
        )
    texts = dict(list_files(listing["file"], listing["part"].to_numpy(int), data.manifest["folds"]))
    yaml_path, (train, val) = data.data_yaml(fold), list_names(fold)
    expected = {train: texts[train], val: texts[val], yaml_path.name: data_yaml(data.spec, train, val)}
    faults = [f"{name} was changed" for name, text in expected.items() if _text(data.folder / name) != text]
    rows = data.folder / LABELS
    if not rows.is_file():
        faults.append(f"{LABELS} is missing")
    elif fingerprint(rows) != data.manifest[ROWS]["sha256"]:
        faults.append(f"{LABELS} was changed")
    with console.progress() as progress:
        faults += progress.track(_file_faults(data.folder, listing), len(listing), description="Check images")
    faults = [fault for fault in faults if fault]
    if faults and (moved := _moved(data.folder, listing["file"])):
        raise CytoyoloError(
            f"{data.folder} links to images that no longer exist ({len(moved):,} of {len(listing):,}, such as "
            f"{moved[0]}); move them back, or {CONVERT_AGAIN}."
        )
    if faults:
        raise CytoyoloError(
            f"{data.folder} is no longer what `cytoyolo convert` made ({listed(faults)}); {CONVERT_AGAIN}."
        )


def read_listing(data: Dataset) -> pd.DataFrame:
    """images.csv of a YOLO folder, as text: a row an image. Raises CytoyoloError when it is missing or damaged.

    Older folders do not know what their files were made from, so each file is its own source there.
    """
    try:
        listing = pd.read_csv(data.folder / LISTING, dtype=str, keep_default_na=False)
        names = listing[list(_NEEDED)]["file"]
    except (OSError, ValueError, KeyError) as error:
        raise CytoyoloError(f"{data.folder / LISTING} is missing or damaged; {CONVERT_AGAIN}.") from error
    if any(name_fault(name) or PurePath(name).name != name for name in names):
        raise CytoyoloError(f"{data.folder / LISTING} names files outside the folder; {CONVERT_AGAIN}.")
    return listing if SOURCE in listing else listing.assign(**{SOURCE: listing[STAGED]})


def have_cells(listing: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which images of a YOLO folder have cells: those whose file of labels is not empty. Tiles count as images."""
    return np.asarray(listing["labels_blake2b"] != digest(b""), dtype=np.bool_)


def _copies(images: Path, files: Iterable[str]) -> list[str]:
    """Name the files that Ultralytics takes for copies of the images."""
    there = {path.name for path in images.glob("*.npy")}
    return sorted(there.intersection(PurePath(name).with_suffix(".npy").name for name in files))


def _moved(folder: Path, files: Iterable[str]) -> list[Path]:
    """Where links to images lead that are not there."""
    links = (folder / "images" / name for name in files)
    return [path.readlink() for path in links if path.is_symlink() and not path.exists()]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def _file_faults(folder: Path, listing: pd.DataFrame) -> Iterator[str]:
    """What is wrong with each image and its labels, "" if nothing is."""

    def fault(row: tuple[str, str, str]) -> str:
        name, image, labels = row
        for path, wanted in (
            (folder / "images" / name, image),
            (folder / "labels" / f"{PurePath(name).stem}.txt", labels),
        ):
            try:
                if digest(path.read_bytes()) != wanted:
                    return f"{path.name} was changed"
            except OSError:
                return f"{path.name} is missing"
        return ""

    rows = zip(listing["file"], listing[STAGED], listing["labels_blake2b"], strict=True)
    with ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(fault, rows)

"""Check the inputs of a reproduction in its first second, because it takes hours or days."""

import posixpath
import shutil
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from cytoyolo import console
from cytoyolo.annotations.background import with_background
from cytoyolo.annotations.table import LabelTable
from cytoyolo.commands.crossval_slots import check_jobs, slots_of
from cytoyolo.commands.reproduce_call import Call
from cytoyolo.commands.reproduce_estimate import megabytes
from cytoyolo.detector.weights import check_start
from cytoyolo.errors import CytoyoloError, UsageError, check_count
from cytoyolo.images.folder import folder_files
from cytoyolo.images.names import match_names
from cytoyolo.scoring.check import row_faults
from cytoyolo.spec import load_spec
from cytoyolo.tables.kinds import labels_fault
from cytoyolo.tables.table import TEST_ROLES, read_table, refuse
from cytoyolo.text import counted
from cytoyolo.yolo.groups import read_groups


@dataclass(frozen=True)
class Inputs:
    """The images of the label table that are there, and how many the test table has."""

    images: list[Path]
    tests: int


def check_call(data: Path, folder: Path, folds: int) -> None:
    """Raise UsageError for what can be told to be wrong at once: files that are missing, a place, a number."""
    images = data / "images"
    for path in (data / "train.csv", data / "test.csv", images):
        if not path.exists():
            wanted = "give the folder that holds images/, train.csv and test.csv"
            raise UsageError(labels_fault(data) or f"{path} is missing; {wanted}.")
    if folder.resolve().is_relative_to(images.resolve()):
        raise UsageError(f"{folder} lies in {images}, the folder of the images; give another folder.")
    check_count("folds", folds, 2)


def check_inputs(call: Call) -> Inputs:
    """Raise the errors that a later step would raise for its inputs, before any step is done.

    Raises UsageError for a wrong call, and CytoyoloError for a table or network that can't be used.
    """
    images, train, test = call.images, call.labels, call.test
    check_jobs(call.device, call.jobs)
    spec = load_spec(call.dataset)
    table = LabelTable.from_csv(train, spec, images=images, test=test, thorough=False)
    table = with_background(train, table, call.background)
    rows = read_table(test, spec, TEST_ROLES)
    refuse(test, row_faults(rows, spec), "mend or delete them")
    there = table.listing or frozenset()
    _check_images(train, images, list(table.first_rows), there)
    _check_images(test, images, list(table.test or ()), there)
    read_groups(call.groups, spec, table.text["image"], there)
    check_start(str(call.resolved["model"]), asked="model" in call.training)
    slots_of(call.device, call.jobs)
    return Inputs([images / name for name in table.first_rows if name in there], len(table.test or ()))


def _check_images(table: Path, images: Path, names: Collection[str], there: Collection[str]) -> None:
    """Raise CytoyoloError if all images of a table are missing. If only some are missing, a message says so."""
    missing = [name for name in names if name not in there]
    if not missing:
        return
    found = match_names(missing, folder_files(images)).file.values()
    folders = Counter(posixpath.dirname(file) for file in found).most_common(1)
    where = f", and {folders[0][1]:,} of them are in {images / folders[0][0]}" if folders and folders[0][0] else ""
    if len(missing) == len(names):
        advice = f"move them to {images}" if where else f"put them there, or correct the names of {table.name}"
        raise CytoyoloError(f"{images} lacks the {counted(len(names), 'image')} of {table}{where}; {advice}.")
    console.warn(f"{images} lacks {len(missing):,} of the {len(names):,} images of {table}{where}.")


def check_disk(folder: Path, images: list[Path], several: Sequence[Collection[str]], folds: int) -> None:
    """Raise CytoyoloError if the disk has less space than the steps of several reproductions need at least."""
    parent = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    free = shutil.disk_usage(parent).free / 1e6
    least = sum(sum(megabytes(images, steps, folds, stored=False).values()) for steps in several)
    if least > free:
        raise CytoyoloError(
            f"the disk of {folder} has {free:,.0f} MB left, and at least {least:,.0f} MB are needed; free some, or "
            "give a folder on another disk."
        )
    if (much := sum(sum(megabytes(images, steps, folds).values()) for steps in several)) > free:
        console.warn(f"The disk of {folder} has {free:,.0f} MB left; up to {much:,.0f} MB may be needed.")

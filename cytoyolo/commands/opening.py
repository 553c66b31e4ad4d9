"""Open a label table with its images for the rules of the audit."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytoyolo import console
from cytoyolo.annotations.cache import read_cached
from cytoyolo.annotations.images import ImageFacts, check_image_folder, read_many
from cytoyolo.annotations.view import FactsOf, View
from cytoyolo.classes import DataSpec
from cytoyolo.errors import CytoyoloError
from cytoyolo.records import Records, SchemaError, parse_records
from cytoyolo.tables import LABEL_ROLES, TEST_ROLES, read_table, role_table


@dataclass(frozen=True)
class Opened:
    """A label table: its lines as they stand, and the view that the rules see."""

    records: Records
    view: View


def open_labels(
    labels: Path,
    data: bytes,
    spec: DataSpec,
    *,
    images: Path | None = None,
    test: Path | None = None,
    thorough: bool = True,
) -> Opened:
    """The label table whose bytes are `data`, with its image folder and test table where they are given.

    Images are read when a rule first asks for them: thorough facts through the cache, plain ones anew. Raises
    SchemaError when the bytes are no such table.
    """
    if images is not None:
        check_image_folder(images)
    tested = None if test is None else _test_names(test, spec)
    records = parse_records(labels, data, spec.column_list(*LABEL_ROLES))
    table = role_table(records, spec, LABEL_ROLES)
    view = View(
        spec=spec,
        text={role: table[role].to_numpy(object) for role in LABEL_ROLES},
        broken=records.broken,
        alive=np.ones(len(table), dtype=bool),
        listing=None if images is None else _names(images),
        facts_of=None if images is None else _reader(images, thorough),
        test=tested,
    )
    return Opened(records, view)


def _test_names(path: Path, spec: DataSpec) -> tuple[str, ...]:
    """The images of a test table. Raises CytoyoloError, but no SchemaError, when it is none."""
    try:
        return tuple(read_table(path, spec, TEST_ROLES)["image"].unique())
    except SchemaError as error:
        raise CytoyoloError(str(error)) from error


def _names(folder: Path) -> frozenset[str]:
    """The names of all files in a folder; bytes that are no UTF-8, which no table can name, as \\x and their number."""
    return frozenset(os.fsencode(path.name).decode("utf-8", "backslashreplace") for path in folder.iterdir())


def optional(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _reader(folder: Path, thorough: bool) -> FactsOf:
    """Reads the facts of images by name under a progress bar, each once."""

    known: dict[str, ImageFacts] = {}

    def read(names: Sequence[str]) -> Mapping[str, ImageFacts]:
        new = [name for name in names if name not in known]
        if new:
            facts = read_cached(folder, new) if thorough else read_many(folder / name for name in new)
            with console.progress() as progress:
                tracked = progress.track(facts, len(new), description="Read images")
                known.update(zip(new, tracked, strict=True))
        return {name: known[name] for name in names}

    return read

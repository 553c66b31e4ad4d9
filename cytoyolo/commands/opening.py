"""Open a label table with its images for the rules of the audit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytoyolo import console
from cytoyolo.annotations.cache import read_cached
from cytoyolo.annotations.images import ImageFacts, check_image_folder, read_many
from cytoyolo.annotations.view import FactsOf, View
from cytoyolo.classes import DataSpec
from cytoyolo.records import Records, parse_records
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
    tested = None if test is None else tuple(read_table(test, spec, TEST_ROLES)["image"].unique())
    records = parse_records(labels, data, spec.column_list(*LABEL_ROLES))
    table = role_table(records, spec, LABEL_ROLES)
    view = View(
        spec=spec,
        text={role: table[role].to_numpy(object) for role in LABEL_ROLES},
        broken=records.broken,
        alive=np.ones(len(table), dtype=bool),
        listing=None if images is None else frozenset(path.name for path in images.iterdir()),
        facts_of=None if images is None else _reader(images, thorough),
        test=tested,
    )
    return Opened(records, view)


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

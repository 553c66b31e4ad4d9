"""Open a label table with its images for the rules of the audit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cytoyolo import console
from cytoyolo.annotations.data_set import check_data_set
from cytoyolo.annotations.table import FactsOf, LabelTable
from cytoyolo.errors import CytoyoloError
from cytoyolo.images.cache import read_cached
from cytoyolo.images.folder import folder_files, match_in_folder
from cytoyolo.images.info import ImageInfo, check_image_folder, read_many
from cytoyolo.images.samples import UNKNOWN, White, white_of
from cytoyolo.spec import DataSpec
from cytoyolo.tables.dialect import SchemaError
from cytoyolo.tables.records import Records, parse_records
from cytoyolo.tables.table import LABEL_ROLES, TEST_ROLES, XYXY, read_table


@dataclass(frozen=True)
class Opened:
    """A label table: its lines as they stand, and the table that the rules see."""

    records: Records
    table: LabelTable


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
    SchemaError when the bytes are no such table, and UsageError when its classes are those of another data set.
    """
    if images is not None:
        check_image_folder(images)
    listing = None if images is None else frozenset(folder_files(images))
    tested = None if test is None else _test_names(test, spec, listing)
    records = parse_records(labels, data, spec.column_map(*LABEL_ROLES), XYXY)
    table = replace(
        LabelTable.of(records, spec),
        listing=listing,
        facts_of=None if images is None else _reader(images, thorough, frozenset(tested or ())),
        test=tested,
    )
    check_data_set(labels, table.text["class"][table.labels], spec)
    return Opened(records, table)


def _test_names(path: Path, spec: DataSpec, listing: frozenset[str] | None) -> tuple[str, ...]:
    """The images of a test table, by the names of their files. Raises CytoyoloError, but no SchemaError, for none."""
    try:
        names = read_table(path, spec, TEST_ROLES)["image"].unique().tolist()
    except SchemaError as error:
        raise CytoyoloError(error.sentence) from error
    if listing is None or listing.issuperset(names):
        return tuple(names)
    file = match_in_folder(names, listing).file
    return tuple(dict.fromkeys(file.get(name, name) for name in names))


def optional(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _reader(folder: Path, thorough: bool, tested: Collection[str]) -> FactsOf:
    """Reads the facts of images by name under a progress bar, all in one range.

    Images of more than 8 bits are read in their own range first, which tells that of the set; those that are shown
    otherwise in it are read once more. Images of the test table have no say, since a prediction won't ask them.
    """

    known: dict[str, ImageInfo] = {}

    def read_anew(names: Sequence[str], white: White) -> None:
        if names:
            paths = (folder / name for name in names)
            facts = read_cached(folder, names, white=white) if thorough else read_many(paths, white=white)
            with console.progress() as progress:
                tracked = progress.track(facts, len(names), description="Read images")
                known.update(zip(names, tracked, strict=True))

    def read(names: Sequence[str]) -> Mapping[str, ImageInfo]:
        read_anew([name for name in names if name not in known], UNKNOWN)
        deep = [name for name in names if known[name].samples]
        white = white_of(known[name] for name in [one for one in deep if one not in tested] or deep)
        read_anew([name for name in deep if known[name].white != white.level(known[name].samples)], white)
        return {name: known[name] for name in names}

    return read

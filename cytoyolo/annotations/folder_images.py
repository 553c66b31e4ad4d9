"""The image folder of a label table: the names of its files, and facts of its images, which are read when needed."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from cytoyolo import console
from cytoyolo.errors import CytoyoloError
from cytoyolo.images.cache import read_cached
from cytoyolo.images.folder import folder_files, match_in_folder
from cytoyolo.images.info import ImageInfo, check_image_folder
from cytoyolo.images.samples import UNKNOWN, White, white_of
from cytoyolo.spec import DataSpec
from cytoyolo.tables.dialect import SchemaError
from cytoyolo.tables.frame import Frame
from cytoyolo.tables.table import TEST_ROLES, read_table


class FolderImages:
    """An image folder: `path` is the folder, `listing` holds the names of its files, and `facts` reads its images."""

    def __init__(self, folder: Path, thorough: bool = True) -> None:
        """Open an image folder. Raises an error if this is not an image folder."""
        check_image_folder(folder)
        self.listing = frozenset(folder_files(folder))
        self.path, self._thorough = folder, thorough
        self._known: dict[str, ImageInfo] = {}

    def facts(self, names: Sequence[str], tested: Collection[str] = ()) -> Mapping[str, ImageInfo]:
        """Return the properties of images by name, all shown in one range. No image is read twice in the same range.

        Images of more than 8 bits are first read in their own range, because this gives the range of the set. If the
        set has another range, they are read once more. Images of the test table (`tested`) don't count for the range of
        the set, because a prediction does not know them.
        """
        known = self._known
        self._read([name for name in names if name not in known], UNKNOWN)
        deep = [name for name in names if known[name].samples]
        white = white_of(known[name] for name in [deep_one for deep_one in deep if deep_one not in tested] or deep)
        self._read([name for name in deep if known[name].white != white.level(known[name].samples)], white)
        return {name: known[name] for name in names}

    def _read(self, names: Sequence[str], white: White) -> None:
        """Read images under a progress bar."""
        if not names:
            return
        facts = read_cached(self.path, names, white=white, thorough=self._thorough)
        with console.progress() as progress:
            tracked = progress.track(facts, len(names), description="Read images")
            self._known.update(zip(names, tracked, strict=True))


def read_test_names(path: str | Path | Frame, spec: DataSpec, listing: frozenset[str] | None) -> tuple[str, ...]:
    """Return the image names of a test table. If a listing is given, these are the names of the files that are meant.

    Raises CytoyoloError, but not SchemaError, for a file that is not a test table.
    """
    try:
        names = read_table(path, spec, TEST_ROLES)["image"].unique().tolist()
    except SchemaError as error:
        raise CytoyoloError(error.sentence) from error
    if listing is None or listing.issuperset(names):
        return tuple(names)
    file = match_in_folder(names, listing).file
    return tuple(dict.fromkeys(file.get(name, name) for name in names))

"""The folder of an everyday prediction: detections, annotated pictures, the differential, failures and warnings."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.annotations.decoding import EXTENSIONS
from cytoyolo.annotations.images import decode
from cytoyolo.classes import DataSpec
from cytoyolo.commands.journal import RESULT, Entry, partial_folder
from cytoyolo.commands.listing import detection_tables, listing
from cytoyolo.commands.predict_warnings import Warnings
from cytoyolo.detector.detections import Detections
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.files import atomic_file, finish_folder, same_content
from cytoyolo.report.differential import draw_differential
from cytoyolo.report.pictures import annotate
from cytoyolo.submission.differential import differential
from cytoyolo.submission.rows import detection_table
from cytoyolo.tables import sha256, write_table

MAKER = "predict"
MAX_JPEG_SIDE = 65_500
MAX_NAME = 255  # bytes
# What a table of one line a row can't hold: parts of a name that are not UTF-8, and ends of lines.
_UNFIT = re.compile("[\ud800-\udfff\r\n]")


@dataclass(frozen=True)
class Written:
    """What was written: detections in all, and the differential."""

    rows: int
    differential: pd.DataFrame


def image_names(source: Path) -> list[str]:
    """The image's name, or those of all files of a folder with an image's extension, sorted; names only, and no pixel,
    of however many there are."""
    if source.is_file():
        names = [source.name]
    elif source.is_dir():
        with os.scandir(source) as entries:
            names = sorted(entry.name for entry in entries if Path(entry.name).suffix.lower() in EXTENSIONS)
    else:
        raise UsageError(f"{source}: no such file or folder; give a test table (.csv), an image or a folder of images.")
    if unnamed := [name for name in names if _UNFIT.search(name)]:
        shown = unnamed[0].encode("unicode_escape").decode()
        raise CytoyoloError(f"the file name {shown} is not UTF-8 text of one line; rename it.")
    if not names:
        raise CytoyoloError(f"{source} holds no images ({', '.join(sorted(EXTENSIONS))}); give a folder that does.")
    return names


class Everyday:
    """An output folder under way; it takes its place when it is whole."""

    def __init__(
        self,
        output: Path,
        source: Path,
        names: list[str],
        spec: DataSpec,
        codes: tuple[str, ...],
        pictures: bool,
        probabilities: bool,
        warnings: Warnings,
    ) -> None:
        self.output, self.source, self.spec, self.codes, self.warnings = output, source, spec, codes, warnings
        self.pictures, self.probabilities = pictures, probabilities
        self.folder = partial_folder(output) / RESULT
        stems = Counter(Path(name).stem for name in names)
        # a.png beside a.jpg, or beside a.png.jpg, keep their extensions in the names of their pictures.
        self._shared_stems = {stem for stem, count in stems.items() if count > 1} | (stems.keys() & set(names))

    def draw(self, name: str, image: NDArray[np.uint8], found: Detections, problem: str) -> None:
        """Write the annotated picture of an image that has no problem."""
        if problem:  # one drawn before a kill, of a file that can't be read any more
            self._picture(name, (0, 0)).unlink(missing_ok=True)
        if problem or not self.pictures:
            return
        place = self._picture(name, (image.shape[1], image.shape[0]))
        place.parent.mkdir(parents=True, exist_ok=True)
        rows = detection_table([name], [(image.shape[1], image.shape[0])], [found], self.codes)
        encoded = cv2.imencode(place.suffix, annotate(image, rows, self.codes))[1]
        with atomic_file(place) as temporary:
            temporary.write_bytes(encoded.tobytes())

    def _picture(self, name: str, size: tuple[int, int]) -> Path:
        extension = ".jpg" if max(size) <= MAX_JPEG_SIDE else ".png"
        stem = name if Path(name).stem in self._shared_stems else Path(name).stem
        if len(f"{stem}{extension}".encode()) > MAX_NAME:
            stem = f"{stem[:40]}-{sha256(name.encode())[:16]}"
        return self.folder / "annotated" / f"{stem}{extension}"

    def write(self, entries: Iterator[Entry], failures: dict[str, str]) -> Written:
        """Write the tables and the differential into the folder under way."""
        self.folder.mkdir(parents=True, exist_ok=True)
        counts, images = Counter[str](), 0
        with listing(self.folder / "detections.csv", self.spec, self.codes, self.probabilities) as add:
            for some, rows in detection_tables(entries, self.codes, self.probabilities):
                images += len(some)
                self.warnings.look(some)
                self._draw_missing(some)
                counts.update(rows["class"])
                add(rows)
        table = differential(counts, self.spec)
        title = f"{counts.total():,} cells in {images:,} images"
        draw_differential(table, self.folder / "differential.png", title)
        table.to_csv(self.folder / "differential.csv", index=False, lineterminator="\n")
        name = self.spec.columns["image"]
        self._list("failures.csv", pd.DataFrame(failures.items(), columns=[name, "problem"]))
        self._list("warnings.csv", self.warnings.table(name))
        return Written(counts.total(), table)

    def _list(self, name: str, table: pd.DataFrame) -> None:
        """Write a table that is there only if it has rows."""
        (self.folder / name).unlink(missing_ok=True)
        if len(table):
            write_table(self.folder / name, table)

    def place(self, overwrite: bool) -> None:
        """Put the folder in its place, where an earlier call that was killed has not done so already."""
        if not same_content(self.folder, self.output):
            finish_folder(self.folder, self.output, MAKER, overwrite)

    def _draw_missing(self, entries: list[Entry]) -> None:
        """Of a process that was killed when the pictures had their place already."""
        for one in entries if self.pictures else []:
            if not self._picture(one.name, one.size).is_file():
                self.draw(one.name, decode(self.source / one.name)[0], one.detections, "")

"""The folder of an everyday prediction: detections, annotated pictures, the differential, failures and warnings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.commands.differential_folder import UNCERTAIN_CELLS, write_differential
from cytoyolo.commands.differential_slides import SlideCounter
from cytoyolo.commands.predict_page import CellChoice, remove_prediction_page, write_prediction_page
from cytoyolo.commands.predict_slides import draw_slide, write_geojson
from cytoyolo.commands.predict_warnings import Warnings
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.journal import RESULT, partial_folder
from cytoyolo.detector.model import Model
from cytoyolo.detector.slide_plan import SlidePlan
from cytoyolo.detector.table import LISTED, LISTED_IN_FULL, detection_writer, tables_of
from cytoyolo.files import finish_folder, same_content
from cytoyolo.images.info import decode
from cytoyolo.images.sorted_names import repeated
from cytoyolo.scoring.slide_differential import CountingFacts, Differential
from cytoyolo.tables.table import sha256, write_table

MAKER, TABLE = "predict", "detections.csv"
MAX_JPEG_SIDE = 65_500
MAX_NAME = 255  # bytes


@dataclass(frozen=True)
class WrittenFolder:
    """The result of writing the folder: the number of images that were searched, the number of detections, and the
    differential."""

    images: int
    rows: int
    differential: Differential


def _stem(name: str) -> str:
    """The name of an image without its extension, with its folder."""
    path = PurePosixPath(name)
    return str(path.with_name(path.stem))


class Places:
    """The places of files about images in the folder of a prediction.

    `shared_stems` are the names without extension that several images or slides have, and `folders` are all folders of
    images and slides.
    """

    def __init__(self, folder: Path, shared_stems: Iterable[str], folders: Iterable[str]) -> None:
        self.folder, self._shared_stems, self._folders = folder, frozenset(shared_stems), frozenset(folders)

    @classmethod
    def of_names(cls, folder: Path, *names: Iterable[str]) -> "Places":
        """Return the places for all images and slides.

        `names` are their lists. No name is in them twice, and each list is read several times.
        """
        # a.png beside a.jpg, or beside a.png.jpg, keep their extensions in the names of their pictures.
        shared = repeated(chain(map(_stem, chain(*names)), (name for name in chain(*names) if _stem(name) != name)))
        return cls(folder, shared, {str(parent) for name in chain(*names) for parent in PurePosixPath(name).parents})

    def to_dict(self) -> dict[str, Any]:
        """Return what another process must know, for `from_dict`."""
        return {"shared_stems": sorted(self._shared_stems), "folders": sorted(self._folders)}

    @classmethod
    def from_dict(cls, folder: Path, content: Mapping[str, Any]) -> "Places":
        """Return the places that `to_dict` described."""
        return cls(folder, content["shared_stems"], content["folders"])

    def picture(self, name: str, size: tuple[int, int]) -> Path:
        """Return the place of the annotated picture of an image, or of a slide."""
        extension = ".jpg" if max(size) <= MAX_JPEG_SIDE else ".png"
        stem = name if _stem(name) in self._shared_stems else _stem(name)
        return self.of("annotated", stem, name, extension)

    def of(self, folder: str, stem: str, name: str, extension: str) -> Path:
        """Return the place of a file about an image or a slide."""
        place = PurePosixPath(f"{stem}{extension}")
        if len(place.name.encode()) > MAX_NAME or str(place) in self._folders:
            place = place.with_name(f"{PurePosixPath(stem).name[:40]}-{sha256(name.encode())[:16]}{extension}")
        return self.folder / folder / place

    def draw(self, name: str, image: NDArray[np.uint8], found: Detections, problem: str) -> None:
        """Write the annotated picture of an image that has no problem."""
        if problem:  # a picture that was drawn before a kill, of a file that can't be read any more
            self.picture(name, (0, 0)).unlink(missing_ok=True)
            return
        place = self.picture(name, (image.shape[1], image.shape[0]))
        place.parent.mkdir(parents=True, exist_ok=True)
        found.save(place, image)


class PredictionFolder:
    """An output folder under way; it takes its place when it is whole."""

    def __init__(
        self,
        output: Path,
        source: Path,
        names: Sequence[str],
        model: Model,
        pictures: bool,
        probabilities: bool,
        warnings: Warnings,
        slides: Sequence[SlidePlan],
        counter: SlideCounter,
        report: bool = True,
    ) -> None:
        self.output, self.source, self.codes, self.warnings = output, source, model.codes, warnings
        self.pictures, self.probabilities, self.white = pictures, probabilities, model.white
        self.calibration, self.counter, self.spec = model.calibration, counter, counter.spec
        self.slides = {plan.name: plan for plan in slides}
        self.choice = CellChoice(self.slides) if report else None
        self.folder = partial_folder(output) / RESULT
        self.places = Places.of_names(self.folder, names if pictures else (), self.slides)

    def draw(self, name: str, image: NDArray[np.uint8], found: Detections, problem: str) -> None:
        """Write the annotated picture of an image that has no problem."""
        if self.pictures:
            self.places.draw(name, image, found, problem)

    def write(self, found: Iterator[Detections], failures: dict[str, str], facts: CountingFacts) -> WrittenFolder:
        """Write the tables and the differential into the folder under way. `failures` are complete at its end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        table = self.folder / TABLE
        images = self._write_cells(found, table)
        self.warnings.close()
        made = self.counter.differential(facts, self.codes)
        write_differential(self.folder, made, self.spec, list(self.slides), table, self.counter.slides.by_groups)
        name = self.spec.columns["image"]
        self._list("failures.csv", pd.DataFrame(sorted(failures.items()), columns=[name, "problem"]))
        self._list("warnings.csv", self.warnings.table(name))
        if self.choice is None:
            remove_prediction_page(self.folder)
        else:
            said = failures, self.warnings.of_image
            write_prediction_page(self.folder, made, self.choice, self.source, self.white, *said)
        return WrittenFolder(images, made.cells, made)

    def _write_cells(self, found: Iterator[Detections], table: Path) -> int:
        """Write and count the cells, and list the uncertain cells once more. Return how many images were searched."""
        images, unsure = 0, self.folder / UNCERTAIN_CELLS
        form = LISTED_IN_FULL if self.probabilities else LISTED
        form = replace(form, calibrated=self.calibration is not None)
        with ExitStack() as files:
            add, add_unsure = (
                files.enter_context(detection_writer(path, self.spec, self.codes, form)) for path in (table, unsure)
            )
            for some, rows in tables_of(found, self.codes):
                images += len(some)
                self.warnings.look(one for one in some if one.image not in self.slides)
                self._draw_missing([one for one in some if one.image not in self.slides])
                for one in some:
                    if one.image in self.slides:
                        self._add_slide(one)
                self.counter.add((one.image for one in some), rows)
                if self.choice is not None:
                    self.choice.add(rows)
                add(rows)
                add_unsure(rows.take(rows.uncertain))
        if not self.counter.uncertain:
            unsure.unlink()
        return images

    def _add_slide(self, found: Detections) -> None:
        """Write the files of a slide."""
        name = found.image
        self.warnings.look_at_slide(found, self.slides[name].scale)
        write_geojson(self.places.of("geojson", name, name, ".geojson"), found)
        if self.pictures:
            draw_slide(self.places.picture(name, (0, 0)), self.slides[name], found, self.white)

    def _list(self, name: str, table: pd.DataFrame) -> None:
        """Write a table that is there only if it has rows."""
        (self.folder / name).unlink(missing_ok=True)
        if len(table):
            write_table(self.folder / name, table)

    def place(self, overwrite: bool) -> None:
        """Put the folder in its place, where an earlier call that was killed has not done so already."""
        if not same_content(self.folder, self.output):
            finish_folder(self.folder, self.output, MAKER, overwrite)

    def _draw_missing(self, several: list[Detections]) -> None:
        """Of a process that was killed when the pictures had their place already."""
        for found in several if self.pictures else []:
            if not self.places.picture(found.image, found.size).is_file():
                self.draw(found.image, decode(self.source / found.image, self.white)[0], found, "")

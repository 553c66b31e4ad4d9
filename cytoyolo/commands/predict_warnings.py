"""What `predict` warns of: images far larger than the network's input, more boxes than are kept, cells of odd sizes."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cytoyolo import console
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.model import Model
from cytoyolo.detector.predict import shrinkage
from cytoyolo.detector.trained_on import Sides, is_odd
from cytoyolo.errors import as_typed, listed, option

# The largest side that is proposed: the memory a network needs grows with its square.
_LARGEST_SIDE = 4_096
_SHOWN = 3
_DETECTIONS, _WARNINGS = "detections.csv", "warnings.csv"
_CROWDED = as_typed(option("max_det"))


@dataclass
class Warnings:
    """Warnings by image, collected during a prediction.

    `limit` is the largest number of boxes in an image. A reached limit is only reported if boxes with a confidence
    above `listed_from` may be missing. `of_image` has the warnings of each image by name, after `close`.
    """

    model: Model
    limit: int
    listed_from: float
    of_image: dict[str, str] = field(default_factory=dict)
    _large: dict[str, tuple[int, int]] = field(default_factory=dict)
    _crowded: list[str] = field(default_factory=list)
    _odd: dict[str, str] = field(default_factory=dict)
    _odd_slides: list[str] = field(default_factory=list)
    _divided: int = 0

    def __post_init__(self) -> None:
        self._sides = Sides(self.model.trained_on, self.model.tiling.scale)

    def look(self, found: Iterable[Detections]) -> None:
        """Judge images that have no problem."""
        for one in found:
            said = []
            self._divided += self.model.tiling.divides(one.size)
            if times := shrinkage(one.size, self.model):
                self._large[one.image] = one.size
                said.append(
                    f"is {one.size[0]}x{one.size[1]} px, {times:.1f} times the network's input of {self.model.imgsz} px"
                )
            said += self._beyond_limit(one)
            if said:
                self.of_image[one.image] = "; ".join(said)
            if is_odd(times := self._sides.add(one.xyxy, one.confidence)):
                self._odd[one.image] = _odd_cells(times)

    def look_at_slide(self, found: Detections, scale: float) -> None:
        """Judge a whole slide that was searched at a scale of its own."""
        said, sides = self._beyond_limit(found), Sides(self.model.trained_on, scale)
        times = sides.add(found.xyxy, found.confidence)
        if problem := sides.problem():
            said.append(_odd_cells(times))
            self._odd_slides.append(f"{found.image}: {problem}")
        if said:
            self.of_image[found.image] = "; ".join(said)

    def _beyond_limit(self, found: Detections) -> list[str]:
        """Tell of an image with more boxes than are kept, if boxes that would be listed may be missing."""
        if found.cut_confidence <= self.listed_from:
            return []
        self._crowded.append(found.image)
        return [f"has more boxes than the limit of {self.limit:,} ({_CROWDED})"]

    def close(self) -> None:
        """Judge the cells of all images, after the last image."""
        if self._sides.problem():
            for name, said in self._odd.items():
                self.of_image[name] = f"{self.of_image[name]}; {said}" if name in self.of_image else said

    def table(self, image: str) -> pd.DataFrame:
        """A row an image that is warned of; `image` is the name of the column of images."""
        return pd.DataFrame(self.of_image.items(), columns=self.columns(image))

    @staticmethod
    def columns(image: str) -> list[str]:
        """The header of `table`."""
        return [image, "warning"]

    def say(self) -> None:
        """Tell the user, a sentence for each kind."""
        tiling = self.model.tiling
        if self._divided:
            console.note(
                f"Images that were searched in tiles of {tiling.tile:,} px with an overlap of {tiling.overlap:,} px: "
                f"{self._divided:,}."
            )
        if self._large:
            self._say_large()
        if self._crowded:
            console.warn(
                f"Images with more boxes than the limit of {self.limit:,}: {len(self._crowded):,} "
                f"({listed(self._crowded, _SHOWN)}). Their faintest boxes are left out. Give `predict` a higher "
                f"{option('max_det')}."
            )
        for problem in filter(None, (self._sides.problem(), *self._odd_slides)):
            console.warn(problem)

    def _say_large(self) -> None:
        """Say that images were shrunk far more than the network's input allows, and what to do."""
        name, size = max(self._large.items(), key=lambda one: max(one[1]))
        imgsz, stride = self.model.imgsz, self.model.stride
        remedy = f"give {option('tiles', 'SIZE')}, the longer side of the training's images in pixels"
        if self.model.trained_on:
            remedy = f"give {option('tiles', self.model.trained_on.side)}"
        side = -(-max(size) // stride) * stride
        if side <= _LARGEST_SIDE:
            remedy += f", or {option('imgsz', side)} (with {option('threads', 1)} if memory is short)"
        console.warn(
            f"Images far larger than the network's input of {imgsz} px: {len(self._large):,} (the largest, {name}, is "
            f"{size[0]}x{size[1]} px, {max(size) / imgsz:.1f} times). Their cells are shrunk as much and may be "
            f"missed. If the network was trained on smaller images, {remedy}."
        )


def _odd_cells(times: float) -> str:
    return f"its cells are {times:.2g} times as large as the training's"


def crowded(detections: Path) -> set[str]:
    """Images with more boxes than were kept, by the warnings that stand beside a table of detections, if any do."""
    path = detections.with_name(detections.name.removesuffix(_DETECTIONS) + _WARNINGS)
    if not detections.name.endswith(_DETECTIONS) or not path.is_file():
        return set()
    with path.open(encoding="utf-8", newline="", errors="replace") as file:
        return {row[0] for row in csv.reader(file) if len(row) == 2 and _CROWDED in row[1]}

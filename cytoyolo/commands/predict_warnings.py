"""What `predict` warns of: fields far larger than the network's input, and images with more boxes than are kept."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cytoyolo import console
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.predict import Model, shrinkage
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
    above `listed_from` may be missing. `of_image` has the warnings of each image by name.
    """

    imgsz: int
    stride: int
    limit: int
    listed_from: float
    of_image: dict[str, str] = field(default_factory=dict)
    _large: dict[str, tuple[int, int]] = field(default_factory=dict)
    _crowded: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, model: Model, limit: int, listed_from: float) -> "Warnings":
        """The warnings of a model."""
        return cls(model.imgsz, model.stride, limit, listed_from)

    def look(self, found: Iterable[Detections]) -> None:
        """Judge images that have no problem."""
        for one in found:
            said = []
            if times := shrinkage(one.size, self.imgsz):
                self._large[one.image] = one.size
                said.append(
                    f"is {one.size[0]}x{one.size[1]} px, {times:.1f} times the network's input of {self.imgsz} px"
                )
            if one.cut_confidence > self.listed_from:
                self._crowded.append(one.image)
                said.append(f"has more boxes than the limit of {self.limit:,} ({_CROWDED})")
            if said:
                self.of_image[one.image] = "; ".join(said)

    def table(self, image: str) -> pd.DataFrame:
        """A row an image that is warned of; `image` is the name of the column of images."""
        return pd.DataFrame(self.of_image.items(), columns=self.columns(image))

    @staticmethod
    def columns(image: str) -> list[str]:
        """The header of `table`."""
        return [image, "warning"]

    def say(self) -> None:
        """Tell the user, a sentence for each kind."""
        if self._large:
            name, size = max(self._large.items(), key=lambda one: max(one[1]))
            side = -(-max(size) // self.stride) * self.stride
            remedy = "cut them"
            if side <= _LARGEST_SIDE:
                remedy = f"give {option('imgsz', side)} (with {option('threads', 1)} if memory is short), or cut them"
            console.warn(
                f"Images far larger than the network's input of {self.imgsz} px: {len(self._large):,} (the largest, "
                f"{name}, is {size[0]}x{size[1]} px, {max(size) / self.imgsz:.1f} times). Their cells are shrunk as "
                f"much and may be missed. If the network was trained on smaller images, {remedy} into smaller images."
            )
        if self._crowded:
            console.warn(
                f"Images with more boxes than the limit of {self.limit:,}: {len(self._crowded):,} "
                f"({listed(self._crowded, _SHOWN)}). Their faintest boxes are left out. Give `predict` a higher "
                f"{option('max_det')}."
            )


def crowded(detections: Path) -> set[str]:
    """Images with more boxes than were kept, by the warnings that stand beside a table of detections, if any do."""
    path = detections.with_name(detections.name.removesuffix(_DETECTIONS) + _WARNINGS)
    if not detections.name.endswith(_DETECTIONS) or not path.is_file():
        return set()
    with path.open(encoding="utf-8", newline="", errors="replace") as file:
        return {row[0] for row in csv.reader(file) if len(row) == 2 and _CROWDED in row[1]}

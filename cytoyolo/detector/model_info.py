"""Properties of a trained network besides its weights, in the form in which its exports store them."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from cytoyolo.detector.calibration import Calibration, parse_calibration
from cytoyolo.detector.crops import Crop, parse_crop
from cytoyolo.detector.trained_on import TrainedOn, parse_trained_on
from cytoyolo.errors import CytoyoloError
from cytoyolo.images.samples import UNKNOWN, White, parse_white
from cytoyolo.spec import DataSpec, check_characters, parse_spec

# The key of an exported network's metadata under which the facts are kept; also the name of their file.
METADATA, FACTS_FILE = "cytoyolo", "cytoyolo.json"
# What a network does: it finds the cells of an image, or it names the class of one cell.
Task = Literal["detect", "classify"]
DETECT: Final = "detect"
CLASSIFY: Final = "classify"
KINDS: dict[Task, str] = {DETECT: "detector", CLASSIFY: "classifier"}


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a network: its classes by id; the data set it was trained for, None when trained elsewhere; the
    side in pixels to which the training's images were scaled, None where it had no single one; the multiple a side must
    be of; the SHA-256 of its checkpoint; the precision of its arithmetic, fp32 or int8; the range in which images of
    more than 8 bits were shown to it (see images/samples.py); the sizes of the training's images and boxes, None
    when trained elsewhere; how a classifier takes cells, None for a detector; and what makes probabilities of its
    answers, None if it is not calibrated."""

    codes: tuple[str, ...]
    spec: DataSpec | None
    imgsz: int | None
    stride: int
    sha256: str
    precision: str = "fp32"
    white: White = UNKNOWN
    trained_on: TrainedOn | None = None
    crop: Crop | None = None
    calibration: Calibration | None = None

    @property
    def task(self) -> Task:
        """What the network does."""
        return DETECT if self.crop is None else CLASSIFY

    def to_json(self) -> str:
        """As it is stored with an export: names, numbers and hashes, no path."""
        stored = {**asdict(self), "spec": self.spec and self.spec.to_dict()}
        del stored["white"], stored["trained_on"], stored["crop"], stored["calibration"]
        if white := self.white.to_dict():
            stored["white"] = white
        if self.trained_on:
            stored["trained_on"] = self.trained_on.to_dict()
        if self.crop:
            stored["crop"] = self.crop.to_dict()
        if self.calibration:
            stored["calibration"] = self.calibration.to_dict()
        return json.dumps(stored, ensure_ascii=False)


def parse_model_info(text: str, path: Path) -> ModelInfo:
    """The inverse of `ModelInfo.to_json`. Raises CytoyoloError for anything else."""
    try:
        stored = json.loads(text)
        spec = None if stored["spec"] is None else parse_spec(stored["spec"])
        facts = ModelInfo(
            tuple(map(str, stored["codes"])),
            spec,
            None if stored["imgsz"] is None else int(stored["imgsz"]),
            int(stored["stride"]),
            str(stored["sha256"]),
            str(stored["precision"]),
            parse_white(stored.get("white")),
            parse_trained_on(stored.get("trained_on")),
            parse_crop(stored.get("crop")),
            parse_calibration(stored.get("calibration"), len(stored["codes"])),
        )
        if (
            not facts.codes
            or (spec is not None and spec.codes != facts.codes)
            or min(facts.imgsz or 1, facts.stride) < 1
        ):
            raise ValueError("they contradict each other")
        check_characters("the name of a class", facts.codes)
    except (ValueError, KeyError, TypeError) as error:
        raise CytoyoloError(f"{path} has a damaged description of its classes ({error}); export it again.") from error
    return facts


def check_names(codes: Iterable[str], path: Path) -> None:
    """Raise CytoyoloError where weights call a class what tables and terminals can't carry."""
    try:
        check_characters("the name of a class", codes)
    except ValueError as error:
        raise CytoyoloError(f"{path}: {error}; rename the class in the weights and save them again.") from error


def parse_names(names: object, count: int) -> tuple[str, ...] | None:
    """The classes by id of a network's `names`: a list, or a mapping by number or by number as text.

    None where there isn't a different name for each of `count` classes.
    """
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        return None
    by_id = {int(key) if isinstance(key, str) and key.isdecimal() else key: name for key, name in names.items()}
    codes = tuple(name for name in map(by_id.get, range(count)) if isinstance(name, str))
    return codes if len(set(codes)) == len(by_id) == count else None

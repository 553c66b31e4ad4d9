"""One training of a classifier by Ultralytics in its own folder. Its settings and its cells were decided before."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoyolo import console
from cytoyolo.detector.classifier_cells import Cells, Cut, cut, room_of
from cytoyolo.detector.classifier_settings import OWN, CropChanges
from cytoyolo.detector.crops import Crop
from cytoyolo.detector.engine import engine
from cytoyolo.detector.library import check_known, parse_library_network
from cytoyolo.detector.model_info import CLASSIFY
from cytoyolo.detector.recipes import classifier_defaults
from cytoyolo.detector.train import FOLDER, carry_out, restore
from cytoyolo.detector.weights import Start, find_start
from cytoyolo.errors import UsageError, either

# The files of the crops, inside a run. They are made again by each call.
CROPS = {"train": "crops-train.npy", "val": "crops-val.npy"}
# A cell that is made smaller than this share of itself is no longer a cell of the training's images.
_MOST_SCALE = 0.7


@dataclass(frozen=True)
class Course:
    """What a classifier's training needs besides its settings.

    Parameters
    ----------
    run : Path
        The run folder.
    cells : mapping
        The cells of the training ("train") and of the validation ("val").
    codes : tuple of str
        The codes of the classes, by id.
    device : str
        The engine's name of the device.
    """

    run: Path
    cells: Mapping[str, Cells]
    codes: tuple[str, ...]
    device: str

    def fit(self, start: Start, settings: Mapping[str, Any]) -> None:
        """Train in run/engine. Raises CytoyoloError when the training cannot be carried out."""
        overrides = {
            **{key: value for key, value in settings.items() if key not in OWN},
            "model": start.model,
            "pretrained": (start.network is None and start.pretrained) or True,  # a library's file the trainer reads
            "data": "crops",
            "device": self.device,
            "project": str(self.run.resolve()),
            "name": FOLDER,
            "exist_ok": True,
            "verbose": False,
            "close_mosaic": 0,
        }
        self._carry_out(overrides, settings)

    def resume(self, checkpoint: Path, settings: Mapping[str, Any]) -> None:
        """Go on with a training that was interrupted, from its last whole checkpoint."""
        restore(checkpoint)
        overrides = {
            "resume": str(checkpoint.resolve()),
            "data": "crops",
            "device": self.device,
            "save_dir": str((self.run / FOLDER).resolve()),
        }
        self._carry_out(overrides, settings)

    def _carry_out(self, overrides: dict[str, Any], settings: Mapping[str, Any]) -> None:
        engine()  # before torch, which reads how its threads wait when it is imported
        from cytoyolo.detector.classifier_trainer import CropTrainer

        known = {**classifier_defaults(), **settings}
        try:
            parts = self._cut(known)
            carry_out(self.run, lambda: CropTrainer(overrides, parts, self.codes, known), nullcontext())
        finally:
            for name in CROPS.values():
                (self.run / name).unlink(missing_ok=True)

    def _cut(self, settings: Mapping[str, Any]) -> dict[str, Cut]:
        """Cut the crops. Those of a training have room to be turned."""
        crop = crop_of(settings)
        room = room_of(crop.side, CropChanges.of(settings))
        console.note(f"Cutting {len(self.cells['train']):,} cells for the training, {len(self.cells['val']):,} others.")
        return {
            part: cut(cells, self.run / CROPS[part], crop, room if part == "train" else crop.side)
            for part, cells in self.cells.items()
        }


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise UsageError for changes of the crops that can't be made."""
    known = {**classifier_defaults(), **settings}
    limits = {"scale": _MOST_SCALE, "degrees": 180}
    for key, most in limits.items():
        value = known[key]
        if not isinstance(value, int | float) or not 0 <= value <= most:
            raise UsageError(f"the training gives {key}={value}; give a number from 0 to {most} for a classifier.")


def find_classifier_start(settings: Mapping[str, Any], asked: bool) -> Start:
    """What the training of a classifier starts from. An official .pt is downloaded only if the user `asked` for it.

    Raises UsageError or CytoyoloError for a start that there is not, or that is no good.
    """
    model, pretrained = str(settings["model"]), settings.get("pretrained")
    network = parse_library_network(model)
    if network is None:
        if pretrained is not None:
            raise UsageError(
                f"pretrained gives the weights of a library's network, and {model} is no such network; leave "
                "pretrained out, or give a network such as torchvision:resnet18."
            )
        return find_start(model, asked=asked, task=CLASSIFY)
    check_known(network)
    if pretrained is not None and not Path(pretrained).is_file():
        raise UsageError(f"{pretrained}: no such weights file; check the path.")
    return Start(model, None if pretrained is None else str(Path(pretrained).absolute()), network=network)


def check_classifier_start(start: Start, settings: Mapping[str, Any], classes: int, cells: int) -> None:
    """Raise UsageError or CytoyoloError now if the network of a library can't be trained so, and say what it starts
    from.

    `classes` and `cells` are the numbers of classes, and of cells to learn from.
    """
    if start.network is None:
        return
    engine()
    from cytoyolo.detector.library_weights import check_start

    known = {**classifier_defaults(), **settings}
    check_start(start.network, classes, known, cells % known["batch"] or known["batch"])
    if start.pretrained:
        console.note(f"{start.network} starts from the weights in {start.pretrained}, with a new last layer.")
    elif start.model == str(start.network):
        file = either("--set pretrained=FILE", "pretrained=FILE")
        console.note(f"{start.network} starts from random weights; {file} starts it from weights that you have.")


def crop_of(settings: Mapping[str, Any]) -> Crop:
    """How a classifier with these settings takes cells."""
    return Crop(int(settings["imgsz"]), float(settings["margin"]))

"""The engine's trainers, only for `detector.train`: importing this module imports the engine.

With several GPUs the engine starts a process for each GPU, which imports its trainer from here. So these processes are
as silent as this process, and use paths exactly as they are given.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from random import getrandbits
from typing import Any

import numpy as np

from cytoyolo.boxes import turn
from cytoyolo.detector.augmentation import Augmentation, defocus, shares, stain
from cytoyolo.detector.engine import STRIDE, engine
from cytoyolo.detector.model_info import DETECT
from cytoyolo.detector.weights import known_codes
from cytoyolo.images.decoding import turn_picture

engine()

import torch  # noqa: E402
from ultralytics.data.augment import Compose  # noqa: E402
from ultralytics.data.build import get_split_fraction  # noqa: E402
from ultralytics.data.dataset import YOLODataset  # noqa: E402
from ultralytics.models.yolo.detect import DetectionTrainer  # noqa: E402
from ultralytics.utils.torch_utils import unwrap_model  # noqa: E402

# Our own settings travel to the processes of several GPUs and of loaders in the environment: the engine refuses
# settings that it does not know.
_SETTINGS = "CYTOYOLO_AUGMENTATION"
# Turns by 180, 90 and 270 degrees, as orientations of an image (EXIF).
_TURNS = (3, 6, 8)
# The branches of a head that tell classes. Networks that can do without NMS have both.
_BRANCHES = ("cv3", "one2one_cv3")


@contextmanager
def augmented(settings: Mapping[str, Any]) -> Iterator[None]:
    """Within it, trainers change images as the settings say."""
    os.environ[_SETTINGS] = json.dumps(Augmentation.of(settings).to_dict())
    try:
        yield
    finally:
        del os.environ[_SETTINGS]


def chance() -> np.random.Generator:
    """Return a source of chance. The engine seeds Python's own in each of its processes."""
    return np.random.default_rng(getrandbits(64))


class Turn:
    """A step of the engine's loader: turns a share of the images and their boxes."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Turn an image, which has the engine's form, or leave it as it is."""
        random = chance()
        if random.random() >= self.share:
            return labels
        orientation, instances = int(random.choice(_TURNS)), labels["instances"]
        height, width = labels["img"].shape[:2]
        instances.convert_bbox("xyxy")
        instances.denormalize(width, height)
        count = len(instances.bboxes)
        size, each = np.tile([float(width), float(height)], (count, 1)), np.full(count, orientation)
        instances.bboxes[:] = turn(instances.bboxes, size, each)
        labels["img"] = turn_picture(labels["img"], orientation)
        return labels


class Images(YOLODataset):  # type: ignore[misc]
    """The engine's images of a training, with our changes, and drawn so that rare classes are seen."""

    def __init__(self, *arguments: Any, augmentation: Augmentation, **options: Any) -> None:
        self.augmentation = augmentation
        super().__init__(*arguments, **options)
        classes = [label["cls"].ravel().astype(np.int64) for label in self.labels]
        self.shares = shares(classes, augmentation.balance) if augmentation.balance else None

    def build_transforms(self, hyp: Any) -> Compose:
        """Add turns before the last step, which makes tensors."""
        transforms = super().build_transforms(hyp)
        if self.augmentation.rot90:
            transforms.insert(len(transforms.transforms) - 1, Turn(self.augmentation.rot90))
        return transforms

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """Return an image, also for a part of a mosaic. If classes are balanced, it is drawn, whatever was asked for.

        Each part of a mosaic gets a stain and a focus of its own.
        """
        random, augmentation = chance(), self.augmentation
        drawn = index if self.shares is None else int(random.choice(len(self.shares), p=self.shares))
        image: dict[str, Any] = super().get_image_and_label(drawn)
        if augmentation.stain:
            image["img"] = stain(image["img"], augmentation.stain, random)
        if augmentation.focus:
            image["img"] = defocus(image["img"], augmentation.focus, random)
        return image


def _class_rows(network: Any) -> dict[tuple[str, int], torch.nn.Conv2d]:
    """Return the convolutions of a detector's head that have a row for each class, by their branch and level."""
    head = network.model[-1]
    branches = {name: getattr(head, name, None) or () for name in _BRANCHES}
    last = {(name, level): steps[-1] for name, branch in branches.items() for level, steps in enumerate(branch)}
    return {place: rows for place, rows in last.items() if rows.out_channels == head.nc}


def _copy_rows(source: torch.nn.Conv2d, target: torch.nn.Conv2d, both: list[tuple[int, int]]) -> None:
    """Copy rows. Each pair of numbers has the row of the target, and the row of the source."""
    with torch.no_grad():
        for ours, theirs in both:
            target.weight[ours], target.bias[ours] = source.weight[theirs], source.bias[theirs]


class Trainer(DetectionTrainer):  # type: ignore[misc]
    """Trains a detector."""

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """Make the network. Of the classes that weights know, it takes the classes with exactly the same codes.

        All other classes begin as in a new network. The engine itself would compare codes without their case, and would
        take classes by their place if no code is the same.
        """
        network = super().get_model(cfg, None, verbose)
        if weights is None:
            return network
        new = {place: deepcopy(rows) for place, rows in _class_rows(network).items()}
        names, network.names = network.names, {}  # without names, the engine takes no class by its name
        network.load(weights)
        network.names = names
        known, theirs = known_codes(weights, DETECT), _class_rows(weights)
        both = [(index, known.index(code)) for index, code in self.data["names"].items() if code in known]
        for place, rows in _class_rows(network).items():
            if rows.weight.shape == new[place].weight.shape:  # otherwise the engine made new rows, as wide as theirs
                rows.load_state_dict(new[place].state_dict())
            if place in theirs and rows.in_channels == theirs[place].in_channels:
                _copy_rows(theirs[place], rows, both)
        return network

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> YOLODataset:
        """Return the engine's images of a validation, and of a training with our changes if there are any."""
        augmentation = Augmentation(**json.loads(os.environ[_SETTINGS]))
        if mode != "train" or augmentation == Augmentation():
            return super().build_dataset(img_path, mode, batch)
        return Images(
            augmentation=augmentation,
            img_path=img_path,
            imgsz=self.args.imgsz,
            batch_size=batch,
            augment=True,
            hyp=self.args,
            rect=self.args.rect,
            cache=self.args.cache or None,
            stride=max(int(unwrap_model(self.model).stride.max()), STRIDE),
            pad=0.0,
            task=self.args.task,
            data=self.data,
            fraction=get_split_fraction(self.args.fraction, "train"),
        )


class ClosingTrainer(Trainer):
    """Trains no epoch, and does what the engine does after the last epoch."""

    def resume_training(self, ckpt: Any) -> None:
        """The engine's own refuses a checkpoint without further epochs."""

    def _do_train(self) -> None:
        self._setup_train()
        self.epoch = self.epochs - 1
        self.final_eval()
        if self.args.plots:
            self.plot_metrics()

"""The engine's trainers, only for `detector.train`: importing this module imports the engine.

With several GPUs the engine starts a process for each GPU, which imports its trainer from here. So these processes are
as silent as this process, and use paths exactly as they are given.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import getrandbits
from typing import Any

import numpy as np

from cytoyolo.boxes import turn
from cytoyolo.detector.augmentation import Augmentation, shares, stain
from cytoyolo.detector.engine import STRIDE, engine
from cytoyolo.images.decoding import turn_picture

engine()

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


@contextmanager
def augmented(settings: Mapping[str, Any]) -> Iterator[None]:
    """Within it, trainers change images as the settings say."""
    os.environ[_SETTINGS] = json.dumps(Augmentation.of(settings).to_dict())
    try:
        yield
    finally:
        del os.environ[_SETTINGS]


def _chance() -> np.random.Generator:
    """Return a source of chance. The engine seeds Python's own in each of its processes."""
    return np.random.default_rng(getrandbits(64))


class Change:
    """A step of the engine's loader: changes stain and direction of an image and its boxes."""

    def __init__(self, augmentation: Augmentation) -> None:
        self.augmentation = augmentation

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Change an image, which has the engine's form."""
        random = _chance()
        if self.augmentation.rot90 and random.random() < self.augmentation.rot90:
            self._turn(labels, int(random.choice(_TURNS)))
        if self.augmentation.stain:
            labels["img"] = stain(labels["img"], self.augmentation.stain, random)
        return labels

    @staticmethod
    def _turn(labels: dict[str, Any], orientation: int) -> None:
        instances = labels["instances"]
        height, width = labels["img"].shape[:2]
        instances.convert_bbox("xyxy")
        instances.denormalize(width, height)
        count = len(instances.bboxes)
        size, each = np.tile([float(width), float(height)], (count, 1)), np.full(count, orientation)
        instances.bboxes[:] = turn(instances.bboxes, size, each)
        labels["img"] = turn_picture(labels["img"], orientation)


class Images(YOLODataset):  # type: ignore[misc]
    """The engine's images of a training, with our changes, and drawn so that rare classes are seen."""

    def __init__(self, *arguments: Any, augmentation: Augmentation, **options: Any) -> None:
        self.augmentation = augmentation
        super().__init__(*arguments, **options)
        classes = [label["cls"].ravel().astype(np.int64) for label in self.labels]
        self.shares = shares(classes, augmentation.balance) if augmentation.balance else None

    def build_transforms(self, hyp: Any) -> Compose:
        """Add our changes before the last step, which makes tensors."""
        transforms = super().build_transforms(hyp)
        if self.augmentation.rot90 or self.augmentation.stain:
            transforms.insert(len(transforms.transforms) - 1, Change(self.augmentation))
        return transforms

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """Return the image asked for, or a drawn image if classes are balanced: also for the parts of a mosaic."""
        drawn = index if self.shares is None else int(_chance().choice(len(self.shares), p=self.shares))
        image: dict[str, Any] = super().get_image_and_label(drawn)
        return image


class Trainer(DetectionTrainer):  # type: ignore[misc]
    """Trains a detector."""

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

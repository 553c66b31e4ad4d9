"""The engine's trainer of a classifier of crops, only for `detector.classifier_train`: importing this module imports
the engine."""

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from cytoyolo.detector.augmentation import shares
from cytoyolo.detector.classifier_cells import Cut, changed
from cytoyolo.detector.classifier_figures import ACCURACY, MACRO_F1, accuracy, macro_f1
from cytoyolo.detector.classifier_settings import CropChanges
from cytoyolo.detector.engine import engine
from cytoyolo.detector.library_network import library_start
from cytoyolo.detector.library_weights import start_model
from cytoyolo.detector.model_info import CLASSIFY
from cytoyolo.detector.preprocessing import to_input
from cytoyolo.detector.trainer import chance
from cytoyolo.detector.weights import known_codes, load_checkpoint

engine()

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.data import Dataset  # noqa: E402
from ultralytics.data import build_dataloader  # noqa: E402
from ultralytics.models.yolo.classify import ClassificationTrainer, ClassificationValidator  # noqa: E402
from ultralytics.nn.modules import Classify  # noqa: E402
from ultralytics.utils.metrics import ClassifyMetrics  # noqa: E402

# The average of the weights covers about _AVERAGED_EPOCHS epochs, and at most the share
# _AVERAGED_SHARE of the steps so far.
_AVERAGED_EPOCHS, _AVERAGED_SHARE = 2, 0.25


class Crops(Dataset):  # type: ignore[misc]
    """The crops that the engine's loader asks for.

    The crops of a validation are given as they are. The crops of a training are changed at random, and drawn so that
    rare classes are seen.
    """

    def __init__(self, cut: Cut, changes: CropChanges | None, balance: float) -> None:
        self.cut, self.changes = cut, changes
        self.drawn = np.cumsum(shares(list(cut.class_id[:, None]), balance)) if balance else None
        self._pixels: Any = None

    def __len__(self) -> int:
        return len(self.cut)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self._pixels is None:  # here, because a process that loads crops opens the file itself
            self._pixels = self.cut.pixels()
        random = chance()
        if self.drawn is not None:
            index = min(int(np.searchsorted(self.drawn, random.random(), side="right")), len(self) - 1)
        crop = np.array(self._pixels[index])
        if self.changes is not None:
            crop = changed(crop, self.cut.inside[index], self.cut.side, self.changes, random)
        return {"img": torch.from_numpy(to_input([crop], self.cut.side)[0]), "cls": int(self.cut.class_id[index])}


class Loss:
    """Cross entropy. In a training a share of the target is spread over all classes."""

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing = label_smoothing

    def __call__(self, found: Any, batch: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        validating = isinstance(found, list | tuple)  # a network in evaluation gives probabilities and logits
        loss = functional.cross_entropy(
            found[1] if validating else found, batch["cls"], label_smoothing=0.0 if validating else self.label_smoothing
        )
        return loss, {"loss": loss.detach()}


class Figures(ClassifyMetrics):  # type: ignore[misc]
    """Accuracy and macro F1 of a validation. The best epoch is the one with the highest macro F1."""

    macro_f1 = 0.0

    def process(self, targets: list[Any], pred: list[Any]) -> None:
        """Compute the figures of all classes (n,) and the classes that were found, the best first (n, up to 5)."""
        true = torch.cat(targets).numpy().astype(np.int64)
        named = torch.cat(pred)[:, 0].numpy().astype(np.int64)
        self.top1, self.macro_f1 = accuracy(true, named), macro_f1(true, named)

    @property
    def fitness(self) -> float:
        return self.macro_f1

    @property
    def keys(self) -> list[str]:
        return [ACCURACY, MACRO_F1]

    @property
    def results_dict(self) -> dict[str, float]:
        return {ACCURACY: self.top1, MACRO_F1: self.macro_f1, "fitness": self.fitness}


class Validator(ClassificationValidator):  # type: ignore[misc]
    """Validates a classifier of crops."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.metrics = Figures()


class CropTrainer(ClassificationTrainer):  # type: ignore[misc]
    """Trains a classifier of crops.

    Parameters
    ----------
    overrides
        Ultralytics' settings.
    parts
        The crops of the training ("train") and of the validation ("val").
    codes
        The codes of the classes, by id.
    settings
        All settings of the training, with those that Ultralytics doesn't know.
    """

    def __init__(
        self, overrides: dict[str, Any], parts: dict[str, Cut], codes: tuple[str, ...], settings: dict[str, Any]
    ) -> None:
        self.parts, self.codes, self.own = parts, codes, settings
        super().__init__(overrides=overrides)

    def get_dataset(self) -> dict[str, Any]:
        """Name the parts of the data set. The engine asks for their crops later."""
        return {
            "train": "train",
            "val": "val",
            "names": dict(enumerate(self.codes)),
            "nc": len(self.codes),
            "channels": 3,
        }

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """Make the network. What a classifier already knows of a class is kept by the code of the class."""
        if library := library_start(cfg):
            return start_model(library, self.codes, self.own, weights)
        network = super().get_model(cfg, weights, verbose)
        if weights is None or not isinstance(weights.model[-1], Classify):
            return network
        known = known_codes(weights, CLASSIFY)
        theirs, ours = weights.model[-1].linear, network.model[-1].linear
        fresh = torch.nn.Linear(ours.in_features, ours.out_features)
        with torch.no_grad():
            for index, code in enumerate(self.codes):
                if code in known:
                    fresh.weight[index] = theirs.weight[known.index(code)]
                    fresh.bias[index] = theirs.bias[known.index(code)]
        network.model[-1].linear = fresh
        return network

    def set_model_attributes(self) -> None:
        """Give the network the names of its classes, and its loss."""
        super().set_model_attributes()
        self.model.args = self.args  # as the engine's other trainers do
        self.model.criterion = Loss(self.own["label_smoothing"])

    def get_dataloader(self, dataset_path: str | Path, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Load the crops of a part of the data set."""
        training = mode == "train"
        changes = CropChanges.of(self.own) if training else None
        crops = Crops(self.parts[str(dataset_path)], changes, self.own["balance"] if training else 0.0)
        return build_dataloader(
            crops, batch_size, self.args.workers, shuffle=training, rank=rank, device=self.device,
            drop_last=self.args.compile and training,
        )  # fmt: skip

    def get_validator(self) -> Validator:
        """Return what validates the network after an epoch."""
        return Validator(self.test_loader, self.save_dir, args=copy(self.args), _callbacks=self.callbacks)

    def _setup_train(self) -> None:
        """Average the weights over the last epochs. The engine's own average is of 10,000 steps, and begins so slowly
        that a training of some hundred steps would have none."""
        super()._setup_train()
        horizon = _AVERAGED_EPOCHS * max(len(self.train_loader) // self.accumulate, 1)
        self.ema.decay = lambda step: 1 - 1 / min(horizon, 1 + step * _AVERAGED_SHARE)

    def final_eval(self) -> None:
        """Draw which classes the network of the best epoch confuses. Its figures are known already.

        The engine would also take the optimizer's state out of the weights, which happens when they are sealed.
        """
        if self.args.plots and self.best.is_file():
            self.ema.ema.load_state_dict(load_checkpoint(self.best)["model"].float().state_dict())
            self.validator.args.plots = True
            self.validator(self)

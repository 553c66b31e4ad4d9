"""The engine's trainers, for `detector.train` alone: importing this module imports the engine.

Where several GPUs train, each has a process of its own, which the engine starts and which finds its trainer here: so
these processes are as silent as this one, and take paths as they are.
"""

from typing import Any

from cytoyolo.detector.engine import engine

engine()

from ultralytics.models.yolo.detect import DetectionTrainer  # noqa: E402


class Trainer(DetectionTrainer):  # type: ignore[misc]
    """Trains a detector."""


class ClosingTrainer(Trainer):
    """Trains no epoch: it does what the engine does when all are done."""

    def resume_training(self, ckpt: Any) -> None:
        """The engine's own refuses a checkpoint without further epochs."""

    def _do_train(self) -> None:
        self._setup_train()
        self.epoch = self.epochs - 1
        self.final_eval()
        if self.args.plots:
            self.plot_metrics()

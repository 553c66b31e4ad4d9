"""The engine's trainers, only for `detector.train`: importing this module imports the engine.

With several GPUs the engine starts a process for each GPU, which imports its trainer from here. So these processes are
as silent as this process, and use paths exactly as they are given.
"""

from typing import Any

from cytoyolo.detector.engine import engine

engine()

from ultralytics.models.yolo.detect import DetectionTrainer  # noqa: E402


class Trainer(DetectionTrainer):  # type: ignore[misc]
    """Trains a detector."""


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

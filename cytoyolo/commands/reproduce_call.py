"""The call of a reproduction, in the form that its steps use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoyolo import defaults
from cytoyolo.detector.settings import TrainingSettings
from cytoyolo.runners.options import RunnerSettings


@dataclass(frozen=True)
class Call:
    """The folders and options of a reproduction.

    training has the recipe, the seed, and the other settings that the user gave. resolved has all settings. where says
    on which machines the trainings and the prediction run. seed is given if this is one of several seeds, and home
    is the folder of all of them.
    """

    source: Path
    folder: Path
    dataset: str | Path
    groups: str | Path | None
    background: str | Path | None
    folds: int
    spurious: defaults.SpuriousChoice
    boxes: defaults.BoxChoice
    device: str
    jobs: int
    force: bool
    report: bool
    training: TrainingSettings
    resolved: dict[str, Any]
    where: RunnerSettings
    seed: int | None
    home: Path

    @property
    def title(self) -> str:
        """How the notes about steps, and the names of the jobs, begin."""
        return "" if self.seed is None else f"seed {self.seed} "

    @property
    def is_local(self) -> bool:
        """Whether this machine does all of the work."""
        return self.where["runner"] == defaults.RUNNER

    @property
    def labels(self) -> Path:
        return self.source / "train.csv"

    @property
    def test(self) -> Path:
        return self.source / "test.csv"

    @property
    def images(self) -> Path:
        return self.source / "images"

"""`demo`: every step on the embedded data set with faults in it, offline, on a laptop's CPU."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cytoyolo import console, defaults
from cytoyolo.annotations.changes import read_log
from cytoyolo.commands.audit import audit
from cytoyolo.commands.convert import convert
from cytoyolo.commands.predict import predict
from cytoyolo.commands.repair import CHANGES
from cytoyolo.commands.score import score
from cytoyolo.commands.smear import check_numbers, smear
from cytoyolo.commands.submit import submit
from cytoyolo.commands.train import train
from cytoyolo.detector.engine import choose_device
from cytoyolo.detector.journal import partial_folder
from cytoyolo.files import check_folder, clear_folder, mark, write_text
from cytoyolo.locks import locked
from cytoyolo.report.page import PAGE
from cytoyolo.scoring.score import Score
from cytoyolo.spec import load_spec
from cytoyolo.synthetic.faults import MAX_RATE, kinds
from cytoyolo.synthetic.faults.recall import outcome, read_faults
from cytoyolo.tables.table import TEST_ROLES, read_table
from cytoyolo.yolo.staging import links_work

MAKER = RECIPE = "demo"
TEST_SHARE = 0.125
# The share of training images that get a fault, if there are enough images for one fault of each kind.
FAULT_RATE = 0.1
# The demo drops images that a person would have to look at, so that no decoder complains in the training.
RULES = "decoder-warning: {action: drop}\n"


@dataclass(frozen=True, eq=False)
class Demonstrated:
    """The result of `demo`.

    Attributes
    ----------
    faults : DataFrame
        A row for each rule: rule, action, and how many faults were put_in, found and mended.
    score : Score
        The score on the rows that were kept for the test.
    paths : dict
        The path of each thing that was made, by its name.
    seconds : dict
        The seconds that each step took, by its name.
    """

    faults: pd.DataFrame
    score: Score
    paths: dict[str, Path]
    seconds: dict[str, float]


def demo(
    *,
    output: str | Path = defaults.DEMO_OUTPUT,
    images: int = defaults.DEMO_IMAGES,
    seed: int = defaults.SEED,
    device: str = defaults.DEMO_DEVICE,
    overwrite: bool = False,
) -> Demonstrated:
    """Do every step on synthetic smears with faults: audit, repair, convert, train from scratch, predict and score.

    A demo that was interrupted starts again with the same call.

    Parameters
    ----------
    output : str or Path
        The folder to make, which holds the results of all steps.
    images : int
        How many smears are drawn.
    seed : int
        The seed of the smears, the faults and the training.
    device : str
        "cpu", "auto", "mps" or the number of a GPU.
    overwrite : bool
        Replace an existing output of `demo`.

    Returns
    -------
    Demonstrated

    Raises
    ------
    UsageError
        If the output exists and is not an interrupted demo.

    Examples
    --------
    >>> import cytoyolo
    >>> cytoyolo.demo(output="runs/demo")  # doctest: +SKIP
    """
    folder, seconds = Path(output), dict[str, float]()
    at = _Places(folder)
    few = FAULT_RATE * images * (1 - TEST_SHARE) < len(kinds(test=True)) + 1
    rate = MAX_RATE if few else FAULT_RATE
    check_numbers(images, TEST_SHARE, seed, rate)
    choose_device(device)
    unfinished = not at.score.exists()  # the last part; what holds no result is made anew without being asked
    check_folder(folder, MAKER, overwrite or unfinished)
    way_on = f"{folder} holds an unfinished demo; the same call makes it anew."
    with locked(folder), console.with_way_on(way_on):
        clear_folder(folder, MAKER, overwrite or unfinished, also=at.coming())
        with _step(seconds, "Paint smears of 23 kinds of cell, and put faults in"):
            smear(output=at.smears, images=images, test=TEST_SHARE, seed=seed, faults=rate)
        with _step(seconds, "Audit the table and its images"):
            audited = audit(at.labels, images=at.images, test=at.test, output=at.audit)
        with _step(seconds, "Repair the table and convert it to a YOLO folder"):
            write_text(at.rules, RULES)
            convert(
                at.labels, images=at.images, test=at.test, output=at.dataset, repair=True, config=at.rules, seed=seed
            )
        with _step(seconds, "Train from scratch"):
            train(at.dataset, output=at.run, recipe=RECIPE, seed=seed, device=device)
        with _step(seconds, "Predict the test rows"):
            submit(at.weights, at.test, images=at.images, output=at.submission, device=device)
        with _step(seconds, "Draw detections and the differential"):
            predict(at.weights, _link_test_images(at.smears, at.new_images), output=at.detections, device=device)
        with _step(seconds, "Score the submission"):
            result = score(at.smears / "test_truth.csv", at.submission, images=at.images, output=at.score)
        mark(folder, MAKER)
    outcomes = outcome(read_faults(at.faults), audited.findings, read_log(at.dataset / CHANGES))
    return Demonstrated(outcomes, result, at.shown(), seconds)


class _Places:
    """Where everything of a demo lies in its folder."""

    def __init__(self, folder: Path) -> None:
        self.smears, self.audit, self.dataset, self.run, self.score, self.detections, self.new_images = self.folders = [
            folder / name for name in ("smears", "audit", "dataset", "run", "score", "detections", "test_images")
        ]
        self.rules, self.submission = folder / "rules.yaml", folder / "submission.csv"
        self.labels, self.test, self.faults = (self.smears / f"{name}.csv" for name in ("train", "test", "faults"))
        self.images, self.weights = self.smears / "images", self.run / "weights" / "best.pt"

    def coming(self) -> list[str]:
        """What a demo puts into its folder. Anything else in the folder belongs to the user."""
        files = [self.rules, self.submission, self.submission.with_suffix(".failures.csv")]
        folders = [*self.folders, *map(partial_folder, (self.submission, self.detections))]
        return [*(path.name for path in files), *(f"{path.name}/" for path in folders)]

    def shown(self) -> dict[str, Path]:
        """The paths that a user would look at, by what they are."""
        return {
            "the 23 kinds": self.smears / "kinds.png",
            "training table": self.labels,
            "faults put in": self.faults,
            "faults found": self.audit / "findings.csv",
            "faults in pictures": self.audit / "findings.png",
            "changes of repair": self.dataset / CHANGES,
            "YOLO folder": self.dataset,
            "weights": self.weights,
            "training curves": self.run / "curves" / "results.png",
            "submission": self.submission,
            "annotated pictures": self.detections / "annotated",
            "differential": self.detections / "differential.png",
            "score tables": self.score,
            "confusion matrix": self.score / "confusion.png",
            "page of the audit": self.audit / PAGE,
            "page of training": self.run / PAGE,
            "page of detections": self.detections / PAGE,
            "page of the score": self.score / PAGE,
        }


@contextmanager
def _step(seconds: dict[str, float], title: str) -> Iterator[None]:
    """Announce a step and record how long it took."""
    console.gap()
    console.note(f"{len(seconds) + 1}. {title}")
    started = time.perf_counter()
    yield
    seconds[title] = time.perf_counter() - started


def _link_test_images(smears: Path, folder: Path) -> Path:
    """A folder of links to the test images alone, as a laboratory's new images would come; copies without links."""
    folder.mkdir()
    names = read_table(smears / "test.csv", load_spec("cytologia"), TEST_ROLES)["image"].unique()
    originals = [(smears / "images" / name).resolve() for name in names]
    linked = links_work(originals[0], folder)
    for original in originals:
        if linked:
            (folder / original.name).symlink_to(original)
        else:
            shutil.copyfile(original, folder / original.name)
    return folder

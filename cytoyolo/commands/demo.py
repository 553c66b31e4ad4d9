"""`demo`: every step on the embedded data set, offline, on a laptop's CPU."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cytoyolo import console
from cytoyolo.classes import load_spec
from cytoyolo.commands.convert import convert
from cytoyolo.commands.predict import predict
from cytoyolo.commands.score import score
from cytoyolo.commands.smear import smear
from cytoyolo.commands.train import train
from cytoyolo.errors import check_seed
from cytoyolo.files import clear_folder, mark
from cytoyolo.submission.score import Score
from cytoyolo.tables import TEST_ROLES, read_table

MAKER = RECIPE = "demo"
IMAGES = 2400
TEST_SHARE = 0.125


@dataclass(frozen=True)
class Demonstrated:
    """What the demo made: the score on its held-out rows, paths by what they are, and the seconds of each step."""

    score: Score
    paths: dict[str, Path]
    seconds: dict[str, float]


def demo(
    *,
    output: str | Path = "runs/demo",
    images: int = IMAGES,
    seed: int = 0,
    device: str = "cpu",
    overwrite: bool = False,
) -> Demonstrated:
    """Paint smears, convert, train from scratch by the recipe "demo", predict and score, all in one folder.

    Raises UsageError when the output exists.
    """
    folder, seconds = Path(output), dict[str, float]()
    smears, dataset, run = folder / "smears", folder / "dataset", folder / "run"
    submission, tables, detections = folder / "submission.csv", folder / "score", folder / "detections"
    new_images, weights = folder / "test_images", run / "weights" / "best.pt"
    check_seed(seed)
    clear_folder(folder, MAKER, overwrite)
    # Owned from the start, so that an interrupted demo can be overwritten.
    mark(folder, MAKER, also=tuple(f"{part.name}/" for part in (smears, dataset, run, tables, detections, new_images)))
    with _step(seconds, "Paint smears of 23 kinds of cell"):
        smear(output=smears, images=images, test=TEST_SHARE, seed=seed)
    with _step(seconds, "Convert the table to a YOLO folder"):
        convert(smears / "train.csv", images=smears / "images", output=dataset, seed=seed)
    with _step(seconds, "Train from scratch"):
        train(dataset, output=run, recipe=RECIPE, seed=seed, device=device)
    with _step(seconds, "Predict the test rows"):
        predict(weights, smears / "test.csv", images=smears / "images", output=submission, device=device)
    with _step(seconds, "Draw detections and the differential"):
        predict(weights, _link_test_images(smears, new_images), output=detections, device=device)
    with _step(seconds, "Score the submission"):
        result = score(smears / "test_truth.csv", submission, output=tables)
    mark(folder, MAKER)
    paths = {
        "the 23 kinds": smears / "kinds.png",
        "training table": smears / "train.csv",
        "YOLO folder": dataset,
        "weights": weights,
        "training curves": run / "curves" / "results.png",
        "submission": submission,
        "annotated pictures": detections / "annotated",
        "differential": detections / "differential.png",
        "score tables": tables,
        "confusion matrix": tables / "confusion.png",
    }
    return Demonstrated(result, paths, seconds)


@contextmanager
def _step(seconds: dict[str, float], title: str) -> Iterator[None]:
    """Announce a step and record how long it took."""
    console.note(f"\n{len(seconds) + 1}. {title}")
    started = time.perf_counter()
    yield
    seconds[title] = time.perf_counter() - started


def _link_test_images(smears: Path, folder: Path) -> Path:
    """A folder of links to the test images alone, as a laboratory's new images would come."""
    folder.mkdir()
    for name in read_table(smears / "test.csv", load_spec("cytologia"), TEST_ROLES)["image"].unique():
        (folder / name).symlink_to((smears / "images" / name).resolve())
    return folder

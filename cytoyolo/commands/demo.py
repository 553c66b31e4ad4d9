"""`demo`: every step on the embedded data set, offline, on a laptop's CPU."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cytoyolo import console
from cytoyolo.classes import load_spec
from cytoyolo.commands.convert import convert
from cytoyolo.commands.predict import predict
from cytoyolo.commands.score import score
from cytoyolo.commands.smear import smear
from cytoyolo.commands.train import train
from cytoyolo.files import clear_folder, mark
from cytoyolo.submission.score import Score
from cytoyolo.tables import TEST_ROLES, read_table

RECIPE = "demo"
IMAGES = 600


@dataclass
class Demonstrated:
    """What the demo made: paths by what they are, the score on its held-out rows, and the seconds of each step."""

    paths: dict[str, Path] = field(default_factory=dict)
    score: Score | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def demo(
    *,
    output: str | Path = "runs/demo",
    images: int = IMAGES,
    seed: int = 0,
    device: str = "cpu",
    overwrite: bool = False,
) -> Demonstrated:
    """Paint smears, convert, train, predict and score them, all in one folder.

    The training starts from the small checkpoint that ships with the package (made by the recipe "smear") and
    fine-tunes it on the demo's own images by the recipe "demo". Raises UsageError when the output exists.
    """
    folder, made = Path(output), Demonstrated()
    smears, dataset, run = folder / "smears", folder / "dataset", folder / "run"
    submission, tables, detections = folder / "submission.csv", folder / "score", folder / "detections"
    weights = run / "weights" / "best.pt"
    clear_folder(folder, overwrite)
    # Owned from the start, so that an interrupted demo can be overwritten.
    parts = (smears, dataset, run, tables, detections, folder / "test_images")
    mark(folder, also=tuple(f"{part.name}/" for part in parts))
    with _step(made, "Paint smears"):
        smear(output=smears, images=images, seed=seed)
    with _step(made, "Convert the table to a YOLO folder"):
        convert(smears / "train.csv", images=smears / "images", output=dataset, val=0.1, seed=seed)
    with _step(made, "Train"):
        train(dataset, output=run, recipe=RECIPE, seed=seed, device=device)
    with _step(made, "Predict the test rows"):
        predict(weights, smears / "test.csv", images=smears / "images", output=submission, device=device)
    with _step(made, "Draw detections and the differential"):
        predict(weights, _test_images(smears, folder / "test_images"), output=detections, device=device)
    with _step(made, "Score"):
        made.score = score(smears / "test_truth.csv", submission, output=tables)
    mark(folder)
    made.paths = {
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
    return made


@contextmanager
def _step(made: Demonstrated, title: str) -> Iterator[None]:
    """Announce a step and record how long it took."""
    console.note(f"\n{len(made.seconds) + 1}. {title}")
    started = time.perf_counter()
    yield
    made.seconds[title] = time.perf_counter() - started


def _test_images(smears: Path, folder: Path) -> Path:
    """A folder of links to the test images alone, as a laboratory's new images would come."""
    folder.mkdir()
    for name in read_table(smears / "test.csv", load_spec("cytologia"), TEST_ROLES)["image"].unique():
        (folder / name).symlink_to((smears / "images" / name).resolve())
    return folder

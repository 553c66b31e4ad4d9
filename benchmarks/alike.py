"""Detector alone against a second stage, on synthetic smears in which five of the 23 kinds of cell look alike.

    python benchmarks/alike.py --work DIR [--images 1840] [--alike 0.6] [--seed 0] [--model FILE.pt] [--imgsz 192]

The five stages of one line (MBL, PM, M, MM, PNN) are painted with sizes, colours, chromatin and granules that lie
between their own and the mean of the five: `alike` 0 leaves them as they are, 1 makes them differ by the shape of the
nucleus only. The detector is trained by recipe `demo`, and the classifier by recipe `classifier` from the detector's
backbone, on the same images. The rows of the test images are scored with the detector's classes, with the classifier's,
and with the mean of both.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from cytoyolo import convert, score, submit, train, train_classifier
from cytoyolo.spec import load_spec
from cytoyolo.synthetic.smear import render_scene, scene
from cytoyolo.synthetic.smear.kinds import KINDS, CellKind
from cytoyolo.tables.table import XYXY

STAGES = ("MBL", "PM", "M", "MM", "PNN")
TEST = 0.25
# Attributes that are numbers, or tuples of numbers, of each stage.
SHARED = ("radius", "ratio", "offset", "cytoplasm", "nucleus_colour", "chromatin", "halo")
WAYS: dict[str, dict[str, Any]] = {
    "detector": {},
    "detector, eight views": {"tta": ["d4"]},
    "classifier": {"model_weights": [0, 1]},
    "both": {"model_weights": [1, 1]},
    "both, eight views": {"model_weights": [1, 1], "tta": ["d4"]},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder to work in")
    parser.add_argument("--images", type=int, default=1840)
    parser.add_argument("--alike", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="yolo11n.yaml", help="what the detector starts from")
    parser.add_argument("--imgsz", type=int, default=192, help="the detector's images; a crop has half of it")
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    work: Path = given.work
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "train.csv").is_file():
        paint(work, given.images, given.alike, given.seed)
    if not (work / "dataset").is_dir():
        convert(work / "train.csv", images=work / "images", output=work / "dataset", val=0.1)
    seconds = {}
    begun = time.perf_counter()
    detector = work / "detector" / "weights" / "best.pt"
    if not detector.is_file():
        train(
            work / "dataset", output=work / "detector", device="cpu", recipe="demo", seed=given.seed,
            model=given.model, imgsz=given.imgsz, epochs=given.epochs,
        )  # fmt: skip
        seconds["detector"], begun = time.perf_counter() - begun, time.perf_counter()
    classifier = work / "classifier" / "weights" / "best.pt"
    if not classifier.is_file():
        train_classifier(
            work / "dataset", output=work / "classifier", device="cpu", model=str(detector), epochs=given.epochs,
            imgsz=given.imgsz // 64 * 32, seed=given.seed,
        )  # fmt: skip
        seconds["classifier"] = time.perf_counter() - begun
    print(f"seconds of the trainings: { ({name: round(value) for name, value in seconds.items()}) }")
    print(f"{'':26}{'score':>8}{'GIoU':>8}{'macro F1':>10}{'of five':>9}")
    for way, options in WAYS.items():
        named = {**options, "classifiers": [classifier]} if "model_weights" in options else options
        output = work / f"{way.replace(', ', '-').replace(' ', '-')}.csv"
        submit(
            [detector], work / "test.csv", images=work / "images", output=output, device="cpu", overwrite=True, **named
        )
        made = score(work / "truth.csv", output, dataset="cytologia")
        five = made.classes[made.classes["class"].isin(STAGES)]["f1"].mean()
        print(f"{way:26}{made.score:8.3f}{made.giou:8.3f}{made.macro_f1:10.3f}{five:9.3f}")


def paint(work: Path, images: int, share: float, seed: int) -> None:
    """Paint smears and write train.csv, test.csv and truth.csv; the classes come round in the order of the images."""
    scene.KINDS = alike(KINDS, share)
    (work / "images").mkdir(exist_ok=True)
    rows = []
    for index in range(images):
        painted = render_scene(seed, index)
        name = f"alike-{index:05d}.jpg"
        cv2.imwrite(str(work / "images" / name), painted.image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        rows.append(pd.DataFrame(painted.xyxy, columns=XYXY).assign(NAME=name, **{"class": list(painted.codes)}))
    held_out = round(images * TEST)
    id_, *names = load_spec("cytologia").column_list("id", "image", *XYXY, "class")
    pd.concat(rows[:-held_out])[names].to_csv(work / "train.csv", index=False)
    truth = pd.concat(rows[-held_out:])[names]
    truth.insert(0, id_, range(1, len(truth) + 1))
    truth.to_csv(work / "truth.csv", index=False)
    truth[[id_, names[0]]].to_csv(work / "test.csv", index=False)


def alike(kinds: Mapping[str, CellKind], share: float) -> dict[str, CellKind]:
    """Move the stages towards their mean by a share of the way."""
    stages = {code: asdict(kinds[code]) for code in STAGES}
    mean = {name: np.mean([stages[code][name] for code in STAGES], axis=0) for name in SHARED}
    granules = [np.array([*one["granules"][:2], *one["granules"][2]], float) for one in stages.values()]
    made = dict(kinds)
    for number, (code, own) in enumerate(stages.items()):
        moved = {name: (1 - share) * np.array(own[name]) + share * mean[name] for name in SHARED}
        few = (1 - share) * granules[number] + share * np.mean(granules, axis=0)
        made[code] = replace(
            kinds[code],
            **{name: _like(value, own[name]) for name, value in moved.items()},
            granules=(round(few[0]), float(few[1]), tuple(few[2:].round().astype(int).tolist()), own["granules"][3]),
        )
    return made


def _like(value: Any, own: Any) -> Any:
    """The value in the form of an attribute: a number, a colour of whole numbers, or a tuple of numbers."""
    if not isinstance(own, tuple):
        return float(value)
    return tuple(round(one) if isinstance(own[0], int) else float(one) for one in value.tolist())


if __name__ == "__main__":
    main()

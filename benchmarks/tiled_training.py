"""Compare a detector that is trained on tiles of fields with detectors that are trained on the whole fields.

    python benchmarks/tiled_training.py --work DIR [--arms whole640 tiled320 whole320]

The data are the fields of 640 x 480 px of the training table of ../shared/data/pbc3. A quarter of them is held out; it
is the same quarter for all arms. All arms start from the same weights, take the recipe `quick` and differ only in what
ARMS says. Each is judged on the whole fields that are held out, by its last weights: AP50 by class, as pycocotools
computes it. All results are in DIR; finished trainings are not repeated, and interrupted trainings go on.
"""

import argparse
import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from cytoyolo import convert, predict, train
from cytoyolo.tables.table import XYXY
from cytoyolo.yolo.folder import load_dataset
from cytoyolo.yolo.labels import read_labels
from cytoyolo.yolo.verify import read_listing

SHARED = Path(__file__).parents[2] / "shared"
DATA, START = SHARED / "data" / "pbc3", SHARED / "weights" / "yolo11n-pose.pt"
SIZE, HELD_OUT, TILE = (640, 480), 0.25, 320


class Arm(NamedTuple):
    """What is trained on (tiles: their size, None for whole images), how, and how whole fields are predicted."""

    tiles: int | None
    imgsz: int
    batch: int
    epochs: int
    predict: Mapping[str, Any] = {}


# A step of `whole640` and of `tiled320` reads the same number of pixels: 4 x 640 x 640 and 16 x 320 x 320.
ARMS = {
    "whole640": Arm(None, 640, 4, 15),
    "tiled320": Arm(TILE, 320, 16, 5, {"tiles": str(TILE)}),
    "whole320": Arm(None, 320, 4, 15),
}


def fields(work: Path) -> Path:
    """Write the rows of the fields of one size, and return the table."""
    table = pd.read_csv(DATA / "train.csv")
    sizes = {name: Image.open(DATA / "images" / name).size for name in table["NAME"].unique()}
    table[table["NAME"].map(sizes) == SIZE].to_csv(work / "fields.csv", index=False)
    return work / "fields.csv"


def data_set(work: Path, tiles: int | None) -> Path:
    """The YOLO folder of the whole fields, or of their tiles. The held-out fields are the same in all folders."""
    folder = work / ("whole" if tiles is None else f"tiles{tiles}")
    if not folder.is_dir():
        cut = None if tiles is None else (tiles, tiles // 2)
        convert(
            fields(work), images=DATA / "images", output=folder, dataset="pbc3", val=HELD_OUT, repair=True, tiles=cut
        )
    return folder


def trained(work: Path, name: str, arm: Arm) -> Path:
    """The last weights of an arm."""
    weights = work / name / "weights" / "last.pt"
    if not weights.is_file():
        train(
            data_set(work, arm.tiles), output=work / name, recipe="quick", model=str(START), imgsz=arm.imgsz,
            batch=arm.batch, epochs=arm.epochs, device="cpu",
        )  # fmt: skip
    return weights


def truth(work: Path) -> pd.DataFrame:
    """The labels of the held-out fields."""
    data = load_dataset(data_set(work, None))
    listing, labels = read_listing(data), read_labels(data)
    return labels[labels["image"].isin(listing["NAME"][listing["part"] == "1"])]


def found(work: Path, name: str, arm: Arm, weights: Path, images: list[str]) -> pd.DataFrame:
    """The detections in whole fields, down to a low confidence, as AP needs them."""
    folder = work / f"{name}.found"
    if not folder.is_dir():
        paths = [DATA / "images" / image for image in images]
        predict(weights, paths, output=folder, conf=0.001, max_det=1000, pictures=False, device="cpu", **arm.predict)
    return pd.read_csv(folder / "detections.csv").rename(columns={"NAME": "image"})


def ap50(labels: pd.DataFrame, detections: pd.DataFrame) -> dict[str, float]:
    """AP50 of each class and their mean, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images, codes = (labels[column].drop_duplicates().sort_values().tolist() for column in ("image", "class"))

    def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
        xyxy = table[XYXY].to_numpy(float)
        boxes = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)
        return [
            {"id": row + 1, "image_id": images.index(image), "category_id": codes.index(code), "bbox": box.tolist(),
             "area": float(box[2] * box[3]), "iscrowd": 0}
            for row, (image, code, box) in enumerate(zip(table["image"], table["class"], boxes, strict=True))
        ]  # fmt: skip

    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "images": [{"id": number} for number in range(len(images))],
            "categories": [{"id": number, "name": code} for number, code in enumerate(codes)],
            "annotations": rows(labels),
        }
        known.createIndex()
        scores = detections["confidence"].tolist()
        results = known.loadRes([{**row, "score": score} for row, score in zip(rows(detections), scores, strict=True)])
        judged = COCOeval(known, results, "bbox")
        judged.params.iouThrs, judged.params.maxDets = np.array([0.5]), [1000]
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"][0, :, :, 0, 0]  # recall thresholds x classes
    values = {code: float(precision[:, number].mean()) for number, code in enumerate(codes)}
    return {**values, "mean": float(np.mean(list(values.values())))}


def pixels(work: Path, arm: Arm) -> float:
    """How many million pixels the network reads in the training."""
    listed = (data_set(work, arm.tiles) / "train.txt").read_text().splitlines()
    return len(listed) * arm.epochs * arm.imgsz**2 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the trainings and results")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="which arms are trained and judged")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    labels = truth(given.work)
    images = sorted(labels["image"].unique())
    rows = {}
    for name in given.arms:
        weights = trained(given.work, name, ARMS[name])
        detections = found(given.work, name, ARMS[name], weights, images)
        rows[name] = {
            "epochs": ARMS[name].epochs, "Mpx": round(pixels(given.work, ARMS[name])), **ap50(labels, detections),
        }  # fmt: skip
    counts = labels["class"].value_counts().to_dict()
    print(f"{len(images)} held-out fields; labels: {', '.join(f'{code} {count}' for code, count in counts.items())}")
    print(pd.DataFrame(rows).T.round(3).to_string())


if __name__ == "__main__":
    main()

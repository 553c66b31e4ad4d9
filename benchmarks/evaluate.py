"""Does `evaluate` compute the same average precision as `yolo val`, from the same weights, images, labels and boxes?

    python benchmarks/evaluate.py --data pbc9 --weights leukocytes --work DIR
    python benchmarks/evaluate.py --data pbc3 --weights RUN/weights/best.pt --work DIR

A part of the data set's train table is taken, because the truth of its test images is not known. Ultralytics'
DetectionValidator searches the images and computes its figures. The boxes that it judges are kept, in the pixels of the
images, and `cytoyolo.scoring` judges them too. So what differs is only how average precision is computed. Then the
engine's figure is computed once more from its own matches, with COCO's interpolation in the place of its own, and once
more with boxes that end at the border of the image, as in a table of detections.

The rows are:

- val: the validator with the settings of `yolo val` (several classes at one place, NMS at IoU 0.7 within a class),
- one box: the validator with `agnostic_nms=True, iou=0.4`, as `predict` does,
- evaluate: `cytoyolo.evaluate` with the weights, as a user calls it. It has no boxes of the engine.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import cv2
import numpy as np
import pandas as pd

import cytoyolo
from cytoyolo.boxes import clip, to_yolo
from cytoyolo.commands.evaluate import cells_of, read_truth
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.engine import engine
from cytoyolo.detector.inference import complete, open_model
from cytoyolo.detector.table import DetectionTable
from cytoyolo.scoring.average_precision import RECALLS, rank
from cytoyolo.scoring.evaluation import mean_precisions
from cytoyolo.shipped import weights_path
from cytoyolo.spec import DataSpec, load_spec
from cytoyolo.tables.table import XYXY

SHARED = Path(__file__).parents[2] / "shared" / "data"
SETTINGS = {"val": {}, "one box": {"agnostic_nms": True, "iou": 0.4}}


def staged(data: Path, work: Path, count: int, codes: tuple[str, ...]) -> Path:
    """Write truth.csv, data.yaml, images and labels of a part of a data set. Boxes lie inside their images."""
    table = pd.read_csv(data / "train.csv", keep_default_na=False)
    names = np.random.default_rng(0).permutation(table["NAME"].unique())[:count]
    table = table[table["NAME"].isin(names) & table["class"].isin(codes)].drop_duplicates().reset_index(drop=True)
    for folder in ("images", "labels"):
        (work / folder).mkdir(parents=True)
    for name, rows in table.groupby("NAME"):
        picture = data / "images" / str(name)
        (work / "images" / str(name)).symlink_to(picture)
        height, width = cv2.imread(str(picture)).shape[:2]
        xyxy = clip(rows[XYXY].to_numpy(np.float64), np.tile([width, height], (len(rows), 1)))
        table.loc[rows.index, XYXY] = xyxy.astype(int)
        boxes = to_yolo(xyxy, np.tile([width, height], (len(rows), 1))).tolist()
        lines = [" ".join(map(str, [codes.index(code), *box])) for code, box in zip(rows["class"], boxes, strict=True)]
        (work / "labels" / Path(str(name)).with_suffix(".txt").name).write_text("\n".join(lines) + "\n")
    table.to_csv(work / "truth.csv", index=False)
    (work / "data.yaml").write_text(f"path: {work}\ntrain: images\nval: images\nnames: {list(codes)}\n")
    return work / "truth.csv"


def coco_interpolation(recall: Any, precision: Any) -> tuple[float, Any, Any]:
    """Return COCO's average precision of a curve: the highest precision from each of 101 recalls on, and their mean.
    The engine also wants the curve."""
    envelope = np.maximum.accumulate(np.asarray(precision)[::-1])[::-1]
    place = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(envelope, 0.0)[place].mean()), envelope, recall


class Validated(NamedTuple):
    """What the engine's validator gives: its figures (AP50, AP50-95), the same with COCO's interpolation, and then also
    with boxes that end at the border of the image; and for each image its name, boxes in pixels, confidences, classes.
    """

    own: list[float]
    interpolated: list[float]
    clipped: list[float]
    found: list[Any]


def validated(weights: Path, work: Path, size: int, **settings: Any) -> Validated:
    """Run the engine's validator."""
    from ultralytics.models.yolo.detect import DetectionValidator
    from ultralytics.utils.metrics import ap_per_class
    from ultralytics.utils.ops import scale_boxes

    made = Validated([], [], [], [])

    class Keeping(DetectionValidator):
        inside: list[Any]

        def _process_batch(self, preds: Any, batch: Any) -> Any:
            scaled = self.scale_preds(preds, batch)
            arrays = (scaled[key].cpu().numpy() for key in ("bboxes", "conf", "cls"))
            made.found.append((Path(batch["im_file"]).name, *arrays))
            true = scale_boxes(batch["imgsz"], batch["bboxes"].clone(), batch["ori_shape"], batch["ratio_pad"])
            within = super()._process_batch({**preds, "bboxes": scaled["bboxes"]}, {**batch, "bboxes": true})
            self.inside.append(within["tp"])
            return super()._process_batch(preds, batch)

        def get_stats(self) -> Any:
            stats = [np.concatenate(self.metrics.stats[key]) for key in ("tp", "conf", "pred_cls", "target_cls")]
            with patch("ultralytics.utils.metrics.compute_ap", coco_interpolation):
                for right, place in ((stats[0], made.interpolated), (np.concatenate(self.inside), made.clipped)):
                    ap = ap_per_class(right, *stats[1:])[5]
                    place.extend([float(ap[:, 0].mean()), float(ap.mean())])
            return super().get_stats()

    given = {
        "model": str(weights), "data": str(work / "data.yaml"), "imgsz": size, "batch": 8, "conf": 0.001, "rect": True,
        "device": "cpu", "plots": False, "workers": 0, "project": str(work / "engine"), "mode": "val", "task": "detect",
        **settings,
    }  # fmt: skip
    validator = Keeping(args=given)
    validator.inside = []
    validator(model=str(weights))
    made.own.extend([float(validator.metrics.box.map50), float(validator.metrics.box.map)])
    return made


def judged(truth: Path, spec: DataSpec, found: list[Any], codes: tuple[str, ...]) -> list[float]:
    """Compute AP50 and AP50-95 of boxes as `evaluate` does."""
    several = []
    for name, xyxy, confidence, class_id in found:
        shares = np.zeros((len(xyxy), len(codes)), np.float32)
        shares[np.arange(len(xyxy)), class_id.astype(int)] = confidence
        several.append(Detections(xyxy, confidence, class_id.astype(np.int64), shares, codes, image=name))
    cells = cells_of(truth, read_truth(truth, spec), truth, DetectionTable.of(several, codes))
    means = mean_precisions(rank(cells), np.ones((1, cells.images)))
    return [float(means[name][0, -1]) for name in ("ap50", "ap")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="pbc9", help="a folder of ../shared/data, and the data set of this name")
    parser.add_argument("--dataset", help="another data set, with the classes of the weights")
    parser.add_argument("--weights", default="leukocytes")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--work", type=Path, required=True, help="a folder that does not exist yet")
    given = parser.parse_args()
    engine()
    spec, weights = load_spec(given.dataset or given.data), weights_path(given.weights)
    model = open_model([weights], complete({"device": "cpu", "backend": "torch"}))
    work = given.work.resolve()
    truth = staged(SHARED / given.data, work, given.images, model.codes)
    rows = []
    for name, settings in SETTINGS.items():
        their = validated(weights, work, model.imgsz, **settings)
        our = judged(truth, spec, their.found, model.codes)
        for figure, values in zip(("AP50", "AP50-95"), zip(*their[:3], our, strict=True), strict=True):
            rows.append([name, figure, *values, our[figure == "AP50-95"] - values[2]])
    made = cytoyolo.evaluate(
        truth, weights, images=work / "images", dataset=given.dataset or given.data, replicates=1, device="cpu"
    )
    last = made.average_precision.iloc[-1]
    rows += [["evaluate", "AP50", *[np.nan] * 3, last["ap50"], np.nan]]
    rows += [["evaluate", "AP50-95", *[np.nan] * 3, last["ap"], np.nan]]
    columns = ["boxes", "figure", "engine", "COCO's interpolation", "and clipped", "cytoyolo", "what is left"]
    print(f"{given.data}: {made.images} images, {made.cells} true cells, {model.imgsz} px")
    print(pd.DataFrame(rows, columns=columns).to_string(index=False, float_format="{:.5f}".format))


if __name__ == "__main__":
    main()

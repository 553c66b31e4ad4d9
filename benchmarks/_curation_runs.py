"""The trainings of benchmarks/curation.py. Each runs in its own process."""

from pathlib import Path

import numpy as np
import pandas as pd

from cytoyolo import convert, score, submit, train
from cytoyolo.curation.matching import pair_up
from cytoyolo.detector.table import DetectionTable
from cytoyolo.spec import MASK
from cytoyolo.tables.table import XYXY

# The reference's: least IoU of a label and its prediction, and the engine's default of the least confidence.
REFERENCE_IOU, REFERENCE_CONFIDENCE = 0.3, 0.25


def run(work: Path, name: str, training: dict[str, object], device: str) -> None:
    """Train on work/tables/NAME.csv and score the labels that were kept out: work/runs/NAME/SEED/score/score.json."""
    folder = work / "runs" / name / str(training["seed"])
    best = folder / "run" / "weights" / "best.pt"
    if not best.is_file():
        convert(
            work / "tables" / f"{name}.csv", images=work / "images", dataset="wbc5", output=folder / "dataset",
            overwrite=True,
        )  # fmt: skip
        settings = {"val": False, "patience": 0, **training}
        train(folder / "dataset", output=folder / "run", device=device, overwrite=True, **settings)
    truth = pd.read_csv(work / "held_out.csv")
    truth.insert(0, "trustii_id", range(len(truth)))
    truth.to_csv(folder / "truth.csv", index=False)
    truth[["trustii_id", "NAME"]].to_csv(folder / "test.csv", index=False)
    images = work / "held_out"
    submit(
        best, folder / "test.csv", images=images, output=folder / "submission.csv", dataset="wbc5",
        device=device, overwrite=True,
    )  # fmt: skip
    score(folder / "truth.csv", folder / "submission.csv", folder / "score", dataset="wbc5", overwrite=True)


def reference_rule(table: pd.DataFrame, predictions: DetectionTable) -> pd.DataFrame:
    """Curate a table by the third place's `iou` variant, from its description.

    Each label, in row order, takes the box of the prediction that overlaps it most. Labels and predictions without a
    partner become masks. No code of the third place is used.
    """
    made = table.copy()
    number = {name: at for at, name in enumerate(predictions.fold)}
    image = np.array([number[name] for name in predictions.image], dtype=np.int64)
    usable = predictions.confidence >= REFERENCE_CONFIDENCE
    pairs = pair_up(
        table["NAME"].map(number).to_numpy(np.int64), table[XYXY].to_numpy(np.float64), image, predictions.xyxy
    )
    taken: set[int] = set()
    for label in range(len(table)):
        of_label = np.flatnonzero((pairs.label == label) & usable[pairs.prediction] & (pairs.iou >= REFERENCE_IOU))
        free = [at for at in of_label.tolist() if pairs.prediction[at] not in taken]
        if free:
            best = int(pairs.prediction[max(free, key=lambda at: pairs.iou[at])])
            taken.add(best)
            made.loc[label, XYXY] = np.rint(predictions.xyxy[best]).astype(int)
        else:
            made.loc[label, "class"] = MASK
    rest = [at for at in np.flatnonzero(usable).tolist() if at not in taken]
    masks = pd.DataFrame(np.rint(predictions.xyxy[rest]).astype(int), columns=XYXY)
    masks = masks.assign(NAME=predictions.image[rest], **{"class": MASK})[list(table.columns)]
    return pd.concat([made, masks], ignore_index=True)

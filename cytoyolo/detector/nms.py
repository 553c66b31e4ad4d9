"""Non-maximum suppression (NMS): choose one box for each object from a network's thousands of overlapping boxes."""

import cv2
import numpy as np
from numpy.typing import NDArray

# The largest number of candidates, the most confident first: Ultralytics' limit, or a number for each wanted box.
MAX_CANDIDATES, _CANDIDATES_A_BOX = 30_000, 100
# The number of candidates for each wanted box that are tried first. It is nearly always enough, and to try thousands
# of candidates takes milliseconds.
_FIRST = 20


def suppress(
    output: NDArray[np.float32], conf: float, iou: float, most: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Choose the boxes of one image: xyxy (n, 4), and their class scores (n, classes), the best first and at most
    `most`.

    output (4 + classes, anchors) holds centre x, centre y, width, height and the score of each class. Only boxes with a
    confidence (best score) above `conf` are used. If two boxes of any class have an IoU above `iou`, the weaker box is
    dropped.

    The third result is a confidence. If a limit was reached, boxes with a lower confidence may be missing. It is 0 if
    no limit was reached.
    """
    confidence = output[4:].max(axis=0)
    found = np.flatnonzero(confidence > conf)
    found = found[np.argsort(-confidence[found], kind="stable")]
    looked = found[: most * _FIRST]
    kept = _keep(output, confidence, looked, iou)
    if len(kept) < most and len(found) > len(looked):
        looked = found[: max(MAX_CANDIDATES, most * _CANDIDATES_A_BOX)]
        kept = _keep(output, confidence, looked, iou)
    cut = 0.0
    if len(kept) > most:
        cut = float(confidence[kept[most - 1]])
    elif len(looked) < len(found):
        cut = float(confidence[looked[-1]])
    chosen = output[:, kept[:most]].T
    half = chosen[:, 2:4] / 2
    xyxy = np.concatenate([chosen[:, :2] - half, chosen[:, :2] + half], axis=1)
    return xyxy, np.ascontiguousarray(chosen[:, 4:]), cut


def _keep(
    output: NDArray[np.float32], confidence: NDArray[np.float32], candidates: NDArray[np.int64], iou: float
) -> NDArray[np.int64]:
    """Return the candidates (the best first) without those that overlap a better box too much."""
    if not len(candidates):
        return candidates
    boxes = output[:4, candidates].T.astype(np.float64)
    boxes[:, :2] -= boxes[:, 2:] / 2  # OpenCV wants x, y, width, height
    places = cv2.dnn.NMSBoxes(boxes, confidence[candidates], 0.0, iou)  # type: ignore[arg-type]
    return candidates[np.asarray(places, np.int64).reshape(-1)]

"""What was found in an image: boxes, confidences and the probabilities of all classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.errors import UsageError
from cytoyolo.tables.table import XYXY

# What stands before a class's code in the name of the column of its probabilities.
PROBABILITY = "p_"


@dataclass(frozen=True)
class Detections:
    """The boxes found in one image, best first.

    xyxy (n, 4) pixels inside the image, confidence (n,) 0 to 1, class_id (n,), probabilities (n, classes): the
    network's independent score for each class, 0 to 1, whose maximum is the confidence. `codes` are the classes by id.
    `cut_confidence` is 0 unless the limit of boxes an image was reached: boxes fainter than it may then be missing.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    codes: tuple[str, ...]
    cut_confidence: float = 0.0

    def __len__(self) -> int:
        return len(self.xyxy)

    def take(self, rows: slice | NDArray[np.bool_]) -> "Detections":
        """Some of them."""
        some = (self.xyxy[rows], self.confidence[rows], self.class_id[rows], self.probabilities[rows])
        return Detections(*some, self.codes, self.cut_confidence)

    def to_pandas(self) -> pd.DataFrame:
        """A row a box: x1, y1, x2, y2 in pixels, class (its code), confidence, and p_CODE for each class."""
        table = pd.DataFrame(self.xyxy, columns=XYXY)
        table["class"] = np.array(self.codes, dtype=object)[self.class_id]
        table["confidence"] = self.confidence
        names = [f"{PROBABILITY}{code}" for code in self.codes]
        return pd.concat([table, pd.DataFrame(self.probabilities, columns=names)], axis=1)

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`, class codes and probabilities in its `data`.

        Raises UsageError where the package supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise UsageError("to_supervision needs the package supervision; pip install supervision.") from error
        return supervision.Detections(
            xyxy=self.xyxy,
            confidence=self.confidence,
            class_id=self.class_id,
            data={
                "class_name": np.array(self.codes, dtype=str)[self.class_id],
                "probabilities": self.probabilities,
            },
        )


def of_scores(
    xyxy: NDArray[np.float32], probabilities: NDArray[np.float32], codes: tuple[str, ...], cut_confidence: float = 0.0
) -> Detections:
    """Detections of boxes (n, 4) with class probabilities (n, classes): each is of its most probable class."""
    confidence, class_id = probabilities.max(axis=1, initial=0), probabilities.argmax(axis=1)
    return Detections(xyxy, confidence, class_id, probabilities, codes, cut_confidence)


def concatenate(found: Sequence[Detections], codes: tuple[str, ...]) -> Detections:
    """The detections of several images, one after the other; of none, empty arrays in the right shapes."""
    boxes = [np.zeros((0, 4), np.float32), *(one.xyxy for one in found)]
    probabilities = [np.zeros((0, len(codes)), np.float32), *(one.probabilities for one in found)]
    return of_scores(np.concatenate(boxes), np.concatenate(probabilities), codes)

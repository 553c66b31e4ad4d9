"""What a model finds in one image: boxes, confidences and the probabilities of all classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoyolo.boxes import to_pixels
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.files import atomic_file
from cytoyolo.images.drawing import draw_boxes
from cytoyolo.tables.table import XYXY

# What stands before a class's code in the name of the column of its probabilities.
PROBABILITY = "p_"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Detections:
    """The cells found in one image, best first: n boxes.

    Parameters
    ----------
    xyxy : array (n, 4)
        Boxes: x1, y1, x2, y2 in pixels inside the image.
    confidence : array (n,)
        Confidence of each box, 0 to 1: its largest score.
    class_id : array (n,) of int
        Class of each box: the most probable class, as an index into `codes`.
    probabilities : array (n, classes)
        The network's independent score for each class, 0 to 1. If classifiers named the boxes, it is the mean class
        vector, scaled so that its largest share is the confidence. By calibrated weights, it is the probability of each
        class given that the box is a cell: these sum to 1.
    codes : tuple of str
        The codes of the classes, by id.
    cut_confidence : float
        0, or a confidence if the limit of boxes in an image was reached. Boxes with a lower confidence may be missing.
    image : str
        The name of the image, "" if it has no name.
    size : tuple of int
        Width and height of the image in pixels.
    source : function, optional
        The source of the image's pixels, for `plot`.
    uncertain_below : float, optional
        By calibrated weights, the probability below which the best class of a cell is uncertain.

    Raises
    ------
    UsageError
        For arrays that do not fit together, boxes with x2 < x1 or y2 < y1, and impossible values.

    Examples
    --------
    >>> import numpy as np
    >>> from cytoyolo import Detections
    >>> found = Detections(
    ...     xyxy=np.array([[10, 20, 50, 70]], np.float32), confidence=np.array([0.9], np.float32),
    ...     class_id=np.array([1]), probabilities=np.array([[0.2, 0.9]], np.float32), codes=("LY", "PNN"),
    ... )
    >>> len(found), found.classes, found.names
    (1, ['PNN'], {0: 'LY', 1: 'PNN'})
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    codes: tuple[str, ...]
    cut_confidence: float = 0.0
    image: str = ""
    size: tuple[int, int] = (0, 0)
    source: Callable[[], Pixels] | None = field(default=None, repr=False, compare=False)
    uncertain_below: float | None = None

    def __post_init__(self) -> None:
        check_arrays(self.xyxy, self.confidence, self.class_id, self.probabilities, self.codes)

    def __len__(self) -> int:
        return len(self.xyxy)

    @property
    def names(self) -> dict[int, str]:
        """The code of each class by its id."""
        return dict(enumerate(self.codes))

    @property
    def classes(self) -> list[str]:
        """The code of the class of each box."""
        return [self.codes[index] for index in self.class_id]

    @property
    def uncertain(self) -> NDArray[np.bool_]:
        """Which boxes (n,) have an uncertain class. None of them by weights that are not calibrated."""
        return uncertain(self.probabilities, self.uncertain_below)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """The boxes (n, 4) in whole pixels inside the image."""
        return to_pixels(self.xyxy.astype(np.float64), np.tile(np.array(self.size, np.int64), (len(self), 1)))

    def take(self, rows: slice | NDArray[np.bool_]) -> "Detections":
        """Return some of the boxes."""
        return replace(
            self,
            xyxy=self.xyxy[rows],
            confidence=self.confidence[rows],
            class_id=self.class_id[rows],
            probabilities=self.probabilities[rows],
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with a row a box: x1, y1, x2, y2 in pixels, class (its code), confidence, p_CODE by class."""
        table = pd.DataFrame(self.xyxy, columns=XYXY)
        table["class"] = np.array(self.codes, dtype=object)[self.class_id]
        table["confidence"] = self.confidence
        names = [f"{PROBABILITY}{code}" for code in self.codes]
        return pd.concat([table, pd.DataFrame(self.probabilities, columns=names)], axis=1)

    def to_supervision(self) -> Any:
        """Return the same as `supervision.Detections`, with class codes and probabilities in its `data`.

        Raises
        ------
        UsageError
            If the package supervision is not installed.
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

    def plot(self, image: Pixels | None = None) -> Pixels:
        """Return the image (h, w, 3) BGR with each box, its class and its confidence drawn on it.

        Parameters
        ----------
        image : array (h, w, 3), optional
            The pixels to draw on, BGR. By default the pixels that were searched; a file is read again.

        Returns
        -------
        array (h, w, 3) of uint8
            The picture, BGR.

        Raises
        ------
        UsageError
            If no pixels are given or known.
        CytoyoloError
            If the file can't be read any more.
        """
        if image is None and self.source is None:
            raise UsageError("these detections have no image to draw on; give its pixels to plot().")
        picture = image if image is not None or self.source is None else self.source()
        assert picture is not None
        sure = self.confidence.astype(np.float64).round(6).tolist()
        texts = [f"{code} {confidence:.2f}" for code, confidence in zip(self.classes, sure, strict=True)]
        whole = replace(self, size=(picture.shape[1], picture.shape[0])).pixels
        return draw_boxes(picture, whole, self.class_id, texts, len(self.codes))

    def save(self, path: str | Path, image: Pixels | None = None) -> Path:
        """Write the picture of `plot` as a .jpg or .png file, and return its path.

        Raises
        ------
        CytoyoloError
            Where OpenCV can't write such a file.
        """
        place, picture = Path(path), self.plot(image)
        try:
            encoded = cv2.imencode(place.suffix, picture)[1]
        except cv2.error as error:
            raise CytoyoloError(
                f"{place} can't be written as a picture; give a name that ends in .jpg or .png."
            ) from error
        with atomic_file(place) as temporary:
            temporary.write_bytes(encoded.tobytes())
        return place


def of_scores(
    xyxy: NDArray[np.float32], probabilities: NDArray[np.float32], codes: tuple[str, ...], cut_confidence: float = 0.0,
    size: tuple[int, int] = (0, 0),
) -> Detections:  # fmt: skip
    """Detections of boxes (n, 4) with class probabilities (n, classes): each is of its most probable class."""
    confidence, class_id = probabilities.max(axis=1, initial=0), probabilities.argmax(axis=1)
    return Detections(xyxy, confidence, class_id, probabilities, codes, cut_confidence, size=size)


def nothing(codes: tuple[str, ...]) -> Detections:
    """No detections."""
    return of_scores(np.zeros((0, 4), np.float32), np.zeros((0, len(codes)), np.float32), codes)


def concatenate(several: Sequence[Detections], codes: tuple[str, ...]) -> Detections:
    """Join the detections of several views of an image, one after the other."""
    parts = [nothing(codes), *several]
    boxes, shares = (np.concatenate([getattr(part, name) for part in parts]) for name in ("xyxy", "probabilities"))
    return of_scores(boxes, shares, codes, size=parts[-1].size)


def uncertain(probabilities: NDArray[Any], below: float | None) -> NDArray[np.bool_]:
    """Tell which cells (n,) have a best probability (n, classes) below a threshold. Without a threshold, none.

    Single precision decides, in which probabilities are kept: a threshold is the probability of a cell.
    """
    best = probabilities.max(axis=1, initial=0).astype(np.float32)
    return np.asarray(best < np.float32(-1 if below is None else below))


def no_boxes(xyxy: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which of the rows (n, 4) can't be boxes: a number is not finite, or x2 < x1 or y2 < y1."""
    return np.asarray(~np.isfinite(xyxy).all(axis=1) | ~(xyxy[:, 2:] >= xyxy[:, :2]).all(axis=1))


def no_shares(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which of the values are not numbers from 0 to 1."""
    return np.asarray(~((values >= 0) & (values <= 1)))


def check_arrays(
    xyxy: NDArray[Any], confidence: NDArray[Any], class_id: NDArray[Any], probabilities: NDArray[Any],
    codes: tuple[str, ...],
) -> None:  # fmt: skip
    """Raise UsageError for arrays that are no detections."""
    count = len(xyxy)
    shapes = {"xyxy": (count, 4), "confidence": (count,), "class_id": (count,), "probabilities": (count, len(codes))}
    for (name, shape), array in zip(shapes.items(), (xyxy, confidence, class_id, probabilities), strict=True):
        if array.shape != shape:
            raise UsageError(f"{name} has the shape {array.shape}, and {shape} is needed; check the arrays.")
    if not count:
        return
    if no_boxes(xyxy).any():
        row = int(np.argmax(no_boxes(xyxy)))
        raise UsageError(f"row {row} of xyxy, {xyxy[row].tolist()}, is not a box; give x1, y1, x2, y2.")
    if no_shares(confidence).any() or no_shares(probabilities).any():
        raise UsageError("a confidence or a probability is not a number from 0 to 1; check the arrays.")
    if class_id.min() < 0 or class_id.max() >= len(codes):
        raise UsageError(f"a class id is not from 0 to {len(codes) - 1}; check class_id and codes.")

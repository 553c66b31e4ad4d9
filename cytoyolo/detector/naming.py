"""Name the boxes of a detector by crop classifiers: the detector and the classifiers vote on the class of each box."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytoyolo import defaults
from cytoyolo.detector.averaging import as_scores, class_vectors, mean_vector
from cytoyolo.detector.classifier import Classifier, open_classifier
from cytoyolo.detector.crops import Crop, crops
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.views import UPRIGHT, orientations
from cytoyolo.errors import CytoyoloError, listed
from cytoyolo.images.decoding import turn_picture
from cytoyolo.images.samples import UNKNOWN, White
from cytoyolo.tables.table import fingerprint
from cytoyolo.workers import ForkLock

# How many boxes are named at once. More would take more memory, and are no faster.
AT_ONCE = 64
_opening = ForkLock()  # held while a child process opens classifiers again


class Naming:
    """Classifiers that name the boxes that a detector finds. Several threads may share it.

    A classifier adds no box, removes no box and moves no box. The confidence of a box stays what its detector said, so
    that the boxes keep their order. The class of a box is the best class of the weighted mean of all class vectors: the
    detector's scores divided by their sum, and the shares of each classifier, which are the mean over the views. The
    probabilities of a box are this mean, scaled so that the best class has the confidence of the box.

    `weights` has the weight of the detector (of several detectors, the sum of their weights) and then the weight of
    each classifier. It can be pickled. In another process it opens its classifiers again when it is first used.
    """

    def __init__(
        self,
        classifiers: Sequence[str | Path],
        codes: tuple[str, ...],
        weights: Sequence[float],
        *,
        views: Sequence[str] = (),
        backend: defaults.Backend = defaults.BACKEND,
        device: str = defaults.DEVICE,
        threads: int | None = None,
        white: White = UNKNOWN,
    ) -> None:
        """Open classifiers for the boxes of a detector with the classes `codes`, to which images are shown in the range
        `white`.

        Raises UsageError for a missing file, and CytoyoloError for a file that is no classifier, or a classifier that
        was trained with other classes than the detector, or with another range.
        """
        self.paths = tuple(Path(path).absolute() for path in classifiers)
        self.weights, self.views, self._codes, self._white = tuple(weights), orientations(views), codes, white
        self._given: dict[str, Any] = {"backend": backend, "device": device, "threads": threads}
        self.sha256 = [fingerprints(path) for path in self.paths]
        self._use(self._opened())

    def _opened(self) -> list[Classifier]:
        return [_opened(path, self._codes, self._white, self._given) for path in self.paths]

    def _use(self, classifiers: list[Classifier]) -> None:
        """Let this process name boxes by these classifiers."""
        self._classifiers: list[Classifier] | None = classifiers
        self._process = os.getpid()  # last, because other threads ask for it

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_classifiers": None, "_process": None}

    def _own_classifiers(self) -> list[Classifier]:
        """The classifiers, opened again where another process opened them."""
        if self._classifiers is None or self._process != os.getpid():
            with _opening:
                if self._classifiers is None or self._process != os.getpid():
                    for path, before in zip(self.paths, self.sha256, strict=True):
                        if fingerprints(path) != before:
                            raise CytoyoloError(f"{path} has changed since it was opened; open it again.")
                    self._use(self._opened())
        assert self._classifiers is not None
        return self._classifiers

    def name(self, image: NDArray[np.uint8], found: Detections) -> Detections:
        """Return the boxes that were found in an image (h, w, 3) BGR, with the class that all networks vote for."""
        if not len(found):
            return found
        parts = [found.take(slice(start, start + AT_ONCE)) for start in range(0, len(found), AT_ONCE)]
        scores = np.concatenate([self._scores(image, part) for part in parts])
        return replace(found, class_id=scores.argmax(axis=1), probabilities=scores)

    def _scores(self, image: NDArray[np.uint8], found: Detections) -> NDArray[np.float32]:
        votes = [class_vectors(found.probabilities)]
        cut: dict[Crop, NDArray[np.uint8]] = {}
        for one in self._own_classifiers():
            if one.crop not in cut:
                cut[one.crop] = crops(image, found.xyxy, one.crop.side, one.crop.margin)
            votes.append(self._vote(one, cut[one.crop], found.codes))
        return as_scores(mean_vector(votes, self.weights), found.confidence)

    def _vote(self, classifier: Classifier, squares: NDArray[np.uint8], codes: tuple[str, ...]) -> NDArray[np.float64]:
        """Return the class vectors (n, classes) of squares (n, side, side, 3) around boxes, in the order of `codes`."""
        views = []
        for view in self.views:
            seen = squares if view == UPRIGHT else np.stack([turn_picture(one, view) for one in squares])
            views.append(classifier.of_crops(seen).astype(np.float64))
        shares = mean_vector(views, [1.0] * len(views))
        if calibration := classifier.network.facts.calibration:
            shares = calibration.probabilities(shares)
        return class_vectors(shares[:, [classifier.codes.index(code) for code in codes]])


def _opened(path: Path, codes: tuple[str, ...], white: White, given: dict[str, Any]) -> Classifier:
    """Open a classifier with the same classes as its detector, in any order."""
    classifier = open_classifier(path, **given)
    if set(classifier.codes) != set(codes):
        raise CytoyoloError(
            f"{path} knows the classes {listed(list(classifier.codes), 6)}, and the detector knows "
            f"{listed(list(codes), 6)}; give a classifier that was trained for the detector's classes."
        )
    own = classifier.network.facts.white
    if own not in (UNKNOWN, white) and white != UNKNOWN:
        raise CytoyoloError(
            f"{path} was trained with images of another range than the detector ({_shown(own)}; {_shown(white)}); give "
            "a classifier that was trained on images of the same camera."
        )
    return classifier


def _shown(white: White) -> str:
    return ", ".join(f"0 to {level:.10g}" for level in white.to_dict().values())


def fingerprints(weights: Path) -> list[str]:
    """Compute the SHA-256 of the file, or of a folder's files. Two exports of one checkpoint may differ."""
    files = sorted(path for path in weights.iterdir() if path.is_file()) if weights.is_dir() else [weights]
    return [fingerprint(path) for path in files]

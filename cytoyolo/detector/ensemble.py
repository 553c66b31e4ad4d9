"""Several detectors, and several views of an image, used as one."""

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cytoyolo import defaults
from cytoyolo.detector.averaging import check_weights
from cytoyolo.detector.calibration import Calibration
from cytoyolo.detector.detections import Detections, concatenate, of_scores
from cytoyolo.detector.fusion import fuse
from cytoyolo.detector.naming import Naming
from cytoyolo.detector.predict import Detector
from cytoyolo.detector.tiling import Image, common_tiling
from cytoyolo.detector.views import UPRIGHT, boxes_back, orientations
from cytoyolo.errors import CytoyoloError, listed
from cytoyolo.images.decoding import turn_picture
from cytoyolo.images.samples import UNKNOWN, White

# Boxes with at least this confidence are fused, whatever confidence the fused boxes must have. Most fainter boxes are
# noise, so only the best boxes of each model and view are fused, up to BEST_FAINT boxes in all.
FAINT, BEST_FAINT = 1e-3, 30


class Ensemble:
    """Several detectors with the same classes, in any order. What they find in the image and in its `views` is fused.

    It finds boxes as a `Detector` does: those whose fused confidence is above the detectors' `conf`. `weights` has a
    weight for each detector, 1 by default. `max_det` is the largest number of fused boxes in one image. A detector
    keeps at least 300 boxes itself, so that a low limit does not change the fusion. `naming` has the
    classifiers that name the fused boxes.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        *,
        weights: Sequence[float] | None = None,
        views: Sequence[str] = (),
        iou: float = defaults.FUSION_IOU,
        max_det: int = sys.maxsize,
        naming: Naming | None = None,
    ) -> None:
        """Raises UsageError for an unknown view or wrong weights, CytoyoloError for detectors of other classes."""
        first = detectors[0]
        for one in detectors[1:]:
            if sorted(one.codes) != sorted(first.codes):
                raise CytoyoloError(
                    f"the models to fuse have different classes ({listed(list(first.codes), 6)}; "
                    f"{listed(list(one.codes), 6)}); fuse models of the same data set."
                )
        self.detectors, self.views, self.iou = tuple(detectors), orientations(views), iou
        self.weights = check_weights(weights, len(detectors))
        self.codes, self.spec = first.codes, first.spec
        self.white = one_range(detectors)
        self.label = " + ".join(dict.fromkeys(one.label for one in detectors))
        self.calls = min(one.calls for one in detectors)
        self.batch = max(one.batch for one in detectors)
        self.imgsz = min(one.imgsz for one in detectors)
        self.stride = max(one.stride for one in detectors)
        self.max_det = self.field_limit = max_det
        self.tiling = common_tiling([one.tiling for one in detectors])
        self.trained_imgsz = min(one.trained_imgsz for one in detectors)
        self.resolutions = tuple(sorted(um for one in detectors for um in one.resolutions))
        self.trained_on = next((one.trained_on for one in detectors if one.trained_on), None)
        self.conf = max(one.conf for one in detectors)
        self.naming = naming
        self.calibration: Calibration | None = None
        self.thresholds: NDArray[np.float64] | None = None

    def detect(self, images: Sequence[Image], most: int | None = None) -> list[Detections]:
        """Detections of images (h, w, 3) uint8 BGR; `most` replaces `max_det`."""
        found: list[list[Detections]] = [[] for _ in images]
        weights: list[float] = []
        for detector, weight in zip(self.detectors, self.weights, strict=True):
            for view in self.views:
                weights.append(weight)
                seen = detector.detect(
                    [turn_picture(image, view) for image in images], max(defaults.MAX_DETECTIONS, detector.max_det),
                    min(self.conf, FAINT),
                )  # fmt: skip
                for place, image, one in zip(found, images, seen, strict=True):
                    kept = _worth_fusing(one)
                    kept = replace(kept, xyxy=boxes_back(kept.xyxy, image, view)) if view != UPRIGHT else kept
                    place.append(_ordered(kept, self.codes))
        limit = most or self.max_det
        return [self._fused(several, weights, image, limit) for several, image in zip(found, images, strict=True)]

    def keep_at_least(self, count: int) -> None:
        """Raise lower limits of the number of boxes in an image to `count`."""
        self.max_det, self.field_limit = max(self.max_det, count), max(self.field_limit, count)
        for one in self.detectors:
            one.keep_at_least(count)

    def keep_at_most(self, count: int) -> None:
        """Set the limit of the number of fused boxes in an image to `count`."""
        self.max_det = self.field_limit = count

    def _fused(self, several: Sequence[Detections], weights: Sequence[float], image: Image, limit: int) -> Detections:
        joined = concatenate(several, self.codes)
        weight = np.repeat(np.array(weights, np.float64), [len(one) for one in several])
        made = fuse(
            np.zeros(len(joined), np.int64), joined.xyxy.astype(np.float64), joined.probabilities.astype(np.float64),
            weight, sum(weights), self.iou,
        )  # fmt: skip
        cut = max(one.cut_confidence for one in several)
        xyxy, shares = made.xyxy.astype(np.float32), made.probabilities.astype(np.float32)
        found = of_scores(xyxy, shares, self.codes)
        count = int((found.confidence > self.conf).sum())
        if count > limit:
            count, cut = limit, max(cut, float(found.confidence[limit - 1]))
        return of_scores(xyxy[:count], shares[:count], self.codes, cut, (image.shape[1], image.shape[0]))


def one_range(detectors: Sequence[Detector]) -> White:
    """Return the range in which images of more than 8 bits are shown to all detectors, if any detector knows it."""
    known = [one.white for one in detectors if one.white != UNKNOWN]
    if len(set(known)) > 1:
        ranges = listed([", ".join(f"0 to {level:.10g}" for level in one.to_dict().values()) for one in known])
        raise CytoyoloError(
            f"the models to fuse were trained with images of different ranges ({ranges}); predict with each of them, "
            "and fuse their tables with `cytoyolo fuse`."
        )
    return known[0] if known else UNKNOWN


def _worth_fusing(found: Detections) -> Detections:
    kept = found.confidence >= FAINT
    kept[:BEST_FAINT] = True
    return found.take(kept)


def _ordered(found: Detections, codes: tuple[str, ...]) -> Detections:
    """Return the detections with their classes in the order `codes`."""
    if found.codes == codes:
        return found
    shares = found.probabilities[:, [found.codes.index(code) for code in codes]]
    return of_scores(found.xyxy, shares, codes, found.cut_confidence, found.size)

"""Several detectors, and several views of an image, used as one."""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cytoyolo import defaults
from cytoyolo.detector.detections import Detections, concatenate, of_scores
from cytoyolo.detector.fusion import fuse
from cytoyolo.detector.predict import Detector, Image
from cytoyolo.errors import CytoyoloError, UsageError, listed, option
from cytoyolo.images.samples import UNKNOWN, White

# Views of an image besides itself; a box found in one is turned back.
HFLIP, VFLIP = "hflip", "vflip"
VIEWS = (HFLIP, VFLIP)
# From this confidence on boxes go into a fusion, whatever confidence is asked of the fused ones; of fainter ones, most
# of them noise, the best few of each model and view.
FAINT, BEST_FAINT = 1e-3, 30


class Ensemble:
    """Detectors of the same classes, in any order, whose findings in the image and its `views` are fused.

    It finds boxes as a `Detector` does, those of a fused confidence above theirs. `weights` are the detectors', as
    many, all 1 by default. `max_det` is the most fused boxes kept of one image; a detector keeps its own limit,
    or 300 where that is lower, so that a low limit does not change what is fused.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        *,
        weights: Sequence[float] | None = None,
        views: Sequence[str] = (),
        iou: float = defaults.FUSION_IOU,
        max_det: int = sys.maxsize,
    ) -> None:
        """Raises UsageError for an unknown view or wrong weights, CytoyoloError for detectors of other classes."""
        first = detectors[0]
        for one in detectors[1:]:
            if sorted(one.codes) != sorted(first.codes):
                raise CytoyoloError(
                    f"the models to fuse have different classes ({listed(list(first.codes), 6)}; "
                    f"{listed(list(one.codes), 6)}); fuse models of the same data set."
                )
        for view in views:
            if view not in VIEWS:
                raise UsageError("tta", view, f"give some of {','.join(VIEWS)}")
        self.detectors, self.views, self.iou_of_fusion = tuple(detectors), tuple(dict.fromkeys(views)), iou
        self.weights = check_weights(weights, len(detectors))
        self.codes, self.spec = first.codes, first.spec
        self.white = _one_range(detectors)
        self.label = " + ".join(dict.fromkeys(one.label for one in detectors))
        self.calls = min(one.calls for one in detectors)
        self.batch = max(one.batch for one in detectors)
        self.imgsz = min(one.imgsz for one in detectors)
        self.stride = max(one.stride for one in detectors)
        self.max_det = max_det
        self.conf = max(one.conf for one in detectors)

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """Detections of images (h, w, 3) uint8 BGR."""
        found: list[list[Detections]] = [[] for _ in images]
        weights: list[float] = []
        for detector, weight in zip(self.detectors, self.weights, strict=True):
            for view in ("", *self.views):
                weights.append(weight)
                seen = detector.detect(
                    [_turned(image, view) for image in images], max(defaults.MAX_DETECTIONS, detector.max_det),
                    min(self.conf, FAINT),
                )  # fmt: skip
                for place, image, one in zip(found, images, seen, strict=True):
                    place.append(_ordered(_back(_worth_fusing(one), image, view), self.codes))
        return [self._fused(several, weights, image) for several, image in zip(found, images, strict=True)]

    def keep_at_least(self, count: int) -> None:
        """Raise the limits of boxes an image to `count`, where they are lower."""
        self.max_det = max(self.max_det, count)
        for one in self.detectors:
            one.keep_at_least(count)

    def _fused(self, several: Sequence[Detections], weights: Sequence[float], image: Image) -> Detections:
        joined = concatenate(several, self.codes)
        weight = np.repeat(np.array(weights, np.float64), [len(one) for one in several])
        made = fuse(
            np.zeros(len(joined), np.int64), joined.xyxy.astype(np.float64), joined.probabilities.astype(np.float64),
            weight, sum(weights), self.iou_of_fusion,
        )  # fmt: skip
        cut = max(one.cut_confidence for one in several)
        xyxy, shares = made.xyxy.astype(np.float32), made.probabilities.astype(np.float32)
        found = of_scores(xyxy, shares, self.codes)
        count = int((found.confidence > self.conf).sum())
        if count > self.max_det:
            count, cut = self.max_det, max(cut, float(found.confidence[self.max_det - 1]))
        return of_scores(xyxy[:count], shares[:count], self.codes, cut, (image.shape[1], image.shape[0]))


def _one_range(detectors: Sequence[Detector]) -> White:
    """The range in which images of more than 8 bits are shown to all detectors, as far as some know it."""
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


def check_weights(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """The weights of so many models; all alike where none are given."""
    if weights is None:
        return (1.0,) * count
    if len(weights) != count:
        raise UsageError(
            f"{option('model_weights')} has {len(weights)} numbers, and there are {count} models; give one for each."
        )
    if not all(weight > 0 for weight in weights) or not sum(weights) < float("inf"):
        raise UsageError(f"{option('model_weights')} must be numbers above 0 with a finite sum.")
    return tuple(map(float, weights))


def _turned(image: Image, view: str) -> NDArray[np.uint8]:
    if view == HFLIP:
        return np.ascontiguousarray(image[:, ::-1])
    return np.ascontiguousarray(image[::-1]) if view == VFLIP else image


def _ordered(found: Detections, codes: tuple[str, ...]) -> Detections:
    """Detections by a network that knows the classes `codes` in another order."""
    if found.codes == codes:
        return found
    shares = found.probabilities[:, [found.codes.index(code) for code in codes]]
    return of_scores(found.xyxy, shares, codes, found.cut_confidence, found.size)


def _back(found: Detections, image: Image, view: str) -> Detections:
    """Detections in a view as boxes of the image itself."""
    if not view:
        return found
    height, width = image.shape[:2]
    xyxy = found.xyxy.copy()
    low, high, side = (0, 2, width) if view == HFLIP else (1, 3, height)
    xyxy[:, low], xyxy[:, high] = side - found.xyxy[:, high], side - found.xyxy[:, low]
    return of_scores(xyxy, found.probabilities, found.codes, found.cut_confidence, found.size)

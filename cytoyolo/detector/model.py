"""What a prediction needs of a model, whether it is one network or several."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cytoyolo.detector.calibration import Calibration
from cytoyolo.detector.detections import Detections
from cytoyolo.detector.naming import Naming
from cytoyolo.detector.tiling import Image, Tiling
from cytoyolo.detector.trained_on import TrainedOn
from cytoyolo.images.samples import White
from cytoyolo.spec import DataSpec


class Model(Protocol):
    """A `Detector`, or an `Ensemble` of several detectors, which finds boxes in images.

    Messages call it `label`. It works best with `batch` images in a call and `calls` calls at a time. `imgsz` is the
    side in pixels to which images are scaled, a multiple of `stride`. `max_det` is the largest number of boxes in one
    image, and `field_limit` in one image that is searched in tiles. `iou` is the IoU above which two boxes are one
    cell. `white` is the range in which images of more than 8 bits are shown to it. `tiling` says how images are
    divided, and `trained_on` what the training's images were like, if that is known. The training scaled them to
    `trained_imgsz`. `resolutions` has how many micrometres a pixel of the training's images was wide, for each network
    that knows it, the smallest first. `naming` has the classifiers that name the boxes, if there are any.
    `calibration` makes probabilities of the scores. It is None if the weights are not calibrated, or if several
    networks, or several views, name a box together. `thresholds` (classes,) has the least confidence of a box by its
    class, if classes have thresholds of their own.
    """

    codes: tuple[str, ...]
    spec: DataSpec | None
    label: str
    calls: int
    batch: int
    imgsz: int
    stride: int
    max_det: int
    field_limit: int
    iou: float
    white: White
    tiling: Tiling
    trained_on: TrainedOn | None
    trained_imgsz: int
    resolutions: tuple[float, ...]
    naming: Naming | None
    thresholds: NDArray[np.float64] | None

    @property
    def calibration(self) -> Calibration | None: ...

    def detect(self, images: Sequence[Image], most: int | None = None) -> list[Detections]:
        """Search images in one call of each network. No image is divided. `most` replaces `max_det`."""
        ...

    def keep_at_least(self, count: int) -> None:
        """Raise a lower limit of the number of boxes in an image to `count`."""

    def keep_at_most(self, count: int) -> None:
        """Set the limit of the number of boxes in an image, divided or not, to `count`."""

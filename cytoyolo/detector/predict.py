"""Detections of images by a trained YOLO, with the probabilities of all classes."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytoyolo.annotations.images import decode
from cytoyolo.boxes import to_pixels
from cytoyolo.classes import DataSpec
from cytoyolo.detector.engine import STRIDE, choose_device
from cytoyolo.detector.weights import detector_codes, load_checkpoint, stored_spec
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.machine import cores

DEFAULT_IOU = 0.4  # cells hardly ever overlap: the third place's class-agnostic NMS


@dataclass(frozen=True)
class Detections:
    """The boxes found in one image, best first.

    xyxy (n, 4) pixels inside the image, confidence (n,) 0 to 1, class_id (n,), probabilities (n, classes): the
    network's independent score for each class, 0 to 1, whose maximum is the confidence.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.xyxy)

    def take(self, rows: slice | NDArray[np.bool_]) -> "Detections":
        """Some of them."""
        return Detections(*(getattr(self, name)[rows] for name in _FIELDS))


_FIELDS = ("xyxy", "confidence", "class_id", "probabilities")


@dataclass(frozen=True)
class Found:
    """What became of one image file: its pixels (h, w, 3) BGR and detections that cover a pixel, or its problem."""

    path: Path
    image: NDArray[np.uint8]
    detections: Detections
    problem: str = ""


class Detector:
    """A trained detector, ready for images.

    `codes` are its classes by id and `spec` is the data set it was trained for, None when it was trained elsewhere;
    `max_detections` is the most boxes kept of one image.
    """

    def __init__(
        self,
        weights: str | Path,
        *,
        conf: float = 0.25,
        iou: float = DEFAULT_IOU,
        imgsz: int | None = None,
        device: str = "auto",
        batch: int | None = None,
    ) -> None:
        """Load weights. imgsz is that of the training unless given; batch is 8 on a CPU and 32 on a GPU.

        Raises UsageError for a missing file or device, or a wrong number, and CytoyoloError for a file that is no YOLO
        detector.
        """
        if imgsz is not None and imgsz < 1:
            raise UsageError(f"--imgsz is {imgsz}; give a multiple of {STRIDE}.")
        if batch is not None and batch < 1:
            raise UsageError(f"--batch is {batch}; give 1 or more.")
        path = Path(weights)
        checkpoint = load_checkpoint(path)
        from ultralytics.data.augment import LetterBox
        from ultralytics.nn.autobackend import AutoBackend
        from ultralytics.utils.torch_utils import select_device

        network = checkpoint["model"]
        self.codes: tuple[str, ...] = detector_codes(network, path)
        self.spec: DataSpec | None = stored_spec(checkpoint)
        if self.spec is not None and self.spec.codes != self.codes:
            raise CytoyoloError(f"{path} carries the description of other classes than its network has; train anew.")
        self.device = choose_device(device)
        self.batch = batch or (8 if self.device == "cpu" else 32)
        stored = checkpoint["train_args"].get("imgsz", 640)  # 640: Ultralytics' default
        stride = max(STRIDE, int(network.stride.max()))
        self.imgsz = imgsz or stored
        if not isinstance(self.imgsz, int) or self.imgsz < 1 or self.imgsz % stride:
            raise UsageError(f"{path} can't take images of {self.imgsz} px; give --imgsz, a multiple of {stride}.")
        self.conf, self.iou = conf, iou
        self.max_detections = 300
        self._network = AutoBackend(
            network.float(), device=select_device(self.device, verbose=False), fuse=True, end2end=False, verbose=False
        )
        self._network.eval()
        # Always square, so that an image's boxes don't depend on its neighbours in the batch.
        self._letterbox = LetterBox(self.imgsz, auto=False)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detections of images (h, w, 3) uint8 BGR, in one batch."""
        import torch
        from ultralytics.utils import nms, ops

        if not images:
            return []
        with torch.inference_mode():
            pixels = torch.from_numpy(np.stack([self._letterbox(image=image) for image in images]))
            pixels = pixels.to(self._network.device).permute(0, 3, 1, 2).flip(1).float().div(255)  # BGR to RGB, 0 to 1
            scores = self._network(pixels)
            scores = scores[0] if isinstance(scores, list | tuple) else scores
            kept = nms.non_max_suppression(
                torch.cat([scores, scores[:, 4:]], dim=1),  # class scores again, as extra channels NMS carries along
                self.conf,
                self.iou,
                agnostic=True,
                max_det=self.max_detections,
                nc=len(self.codes),
                max_time_img=float("inf"),  # by default a slow machine silently gets no boxes
            )
            for found, image in zip(kept, images, strict=True):
                found[:, :4] = ops.scale_boxes(pixels.shape[2:], found[:, :4], image.shape)
        arrays = [found.cpu().numpy() for found in kept]
        return [Detections(one[:, :4], one[:, 4], one[:, 5].astype(np.int64), one[:, 6:]) for one in arrays]

    def detect_files(self, paths: Iterable[Path]) -> Iterator[Found]:
        """What becomes of each file, in the order given. A bad file has a `problem`, and the others go on."""
        remaining = iter(paths)
        nothing = concatenate([], len(self.codes))
        with ThreadPoolExecutor(cores()) as pool:
            while chunk := list(islice(remaining, self.batch)):
                decoded = list(pool.map(decode, chunk))
                found = iter(self.detect([image for image, problem in decoded if not problem]))
                for path, (image, problem) in zip(chunk, decoded, strict=True):
                    yield Found(path, image, nothing if problem else _with_pixels(next(found), image), problem)


def _with_pixels(found: Detections, image: NDArray[np.uint8]) -> Detections:
    """Those that are left when their corners are rounded to whole pixels."""
    size = np.tile(np.array(image.shape[1::-1], np.int64), (len(found), 1))
    xyxy = to_pixels(found.xyxy.astype(np.float64), size)
    return found.take(np.asarray((xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)))


def concatenate(found: Sequence[Detections], classes: int) -> Detections:
    """The detections of several images, one after the other; of none, empty arrays in the right shapes."""
    empty = np.zeros(0, np.float32)
    none = Detections(np.zeros((0, 4), np.float32), empty, empty.astype(np.int64), np.zeros((0, classes), np.float32))
    return Detections(*(np.concatenate([getattr(one, name) for one in (none, *found)]) for name in _FIELDS))

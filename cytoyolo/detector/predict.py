"""Detections of images by a trained YOLO, with the probabilities of all classes."""

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as PillowImage

from cytoyolo import defaults
from cytoyolo.detector.averaging import check_weights
from cytoyolo.detector.calibration import NOT_USED, Calibration
from cytoyolo.detector.class_thresholds import above
from cytoyolo.detector.detections import Detections, nothing, of_scores
from cytoyolo.detector.fields import calibrated, chunks, named, search
from cytoyolo.detector.inputs import Channels, GivenImage, OnError, expanded, given_image, is_one
from cytoyolo.detector.model import Model
from cytoyolo.detector.naming import Naming
from cytoyolo.detector.networks import Network, open_network
from cytoyolo.detector.nms import suppress
from cytoyolo.detector.preprocessing import boxes_back, to_input
from cytoyolo.detector.remarks import Remarks
from cytoyolo.detector.tiling import LARGE, Image, check_tiling, tiling_of
from cytoyolo.detector.trained_on import Sides
from cytoyolo.errors import CytoyoloError, UsageError, check_choice, check_count, check_share, listed
from cytoyolo.images.info import DecodedFile, decode_bytes
from cytoyolo.images.reading import in_order, load
from cytoyolo.shipped import weights_path
from cytoyolo.spec import DataSpec
from cytoyolo.workers import ForkLock

# If an image is this many times as large as the network's input, it probably shows a larger area than the images of
# the training.
LARGE_FIELD = 2.5

# The types of an image in a program.
OneImage = str | Path | NDArray[np.uint8] | PillowImage


@dataclass(frozen=True)
class SearchedFile:
    """The result for one image file: its picture or its problem, and its detections that cover at least one pixel.

    `state` is its size in bytes and its time of modification when it was read, 0 if they are not known. The result for
    a part of a slide has no picture, and `more` tells what is needed to join it with other parts.
    """

    path: Path
    decoded: DecodedFile
    detections: Detections
    state: tuple[int, int]
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def image(self) -> Image:
        """The pixels (h, w, 3) BGR."""
        return self.decoded.picture

    @property
    def problem(self) -> str:
        """Why the file can't be used, "" if it can."""
        return self.decoded.problem


_opening = ForkLock()  # held while a child process opens a network again


class Detector:
    """A trained detector, ready for images. Several threads may share a detector.

    It can be pickled: the pickle holds the path of its weights and its settings. In another process (after a fork, or
    from a pickle) it opens its weights again when it is first used.

    Attributes
    ----------
    codes : tuple of str
        The codes of the classes, by id.
    spec : DataSpec or None
        The data set that it was trained for. None if it was trained with another program.
    imgsz : int
        The side in pixels to which images are scaled.
    device : str
        "cpu", "mps" or the number of a GPU.
    max_det : int
        The largest number of boxes in one image.
    tiling : Tiling
        How large images are divided.
    trained_on : TrainedOn or None
        The sizes of the training's images and boxes. None if they are not known.
    naming : Naming or None
        The classifiers that name the boxes. None if there are none.
    calibration : Calibration or None
        What makes probabilities of the scores. None if the weights are not calibrated, or if classifiers name the
        boxes too.
    """

    def __init__(
        self,
        weights: str | Path,
        *,
        conf: float = defaults.CONF,
        iou: float = defaults.IOU,
        imgsz: int | None = None,
        backend: defaults.Backend = defaults.BACKEND,
        device: str = defaults.DEVICE,
        batch: int | None = None,
        threads: int | None = None,
        max_det: int | None = None,
        tiles: defaults.Tiles = defaults.TILES,
        scale: float | None = None,
        um_per_px: float | None = None,
        classifiers: Sequence[str | Path] = (),
        model_weights: Sequence[float] | None = None,
    ) -> None:
        """Load weights.

        Parameters
        ----------
        weights : str or Path
            A checkpoint (.pt), an ONNX file or OpenVINO folder that `cytoyolo export` made, or the name of weights of
            this package.
        conf : float
            The least confidence of a box, 0 to 1.
        iou : float
            If two boxes overlap by more than this IoU, 0 to 1, the box with the lower confidence is dropped.
        imgsz : int, optional
            The side in pixels to which images are scaled; by default the size of the training.
        backend : str
            The program that runs the network. "auto" is the fastest program that is installed.
        device : str
            "auto", "cpu", "mps" or the number of a GPU, such as "0".
        batch : int, optional
            How many images go into one call of the network: by default 1 on a CPU with a runtime, 8 with torch and 32
            on a GPU.
        threads : int, optional
            How many cores are used; by default all.
        max_det : int, optional
            The largest number of boxes in one image. The most confident boxes are kept. By default 300; in an image
            that is searched in tiles, 300 in each tile.
        tiles : str, int or tuple of two int
            How large images are divided: a side in pixels (640), or a side and the least overlap of two tiles (640,
            200), both after scaling. An image that is no larger than a tile stays whole. "auto" makes tiles as large as
            the images of the training, of images that are more than 1.5 times as large. "off" makes none.
        scale : float, optional
            How many times larger an image is made before it is searched, 0.02 to 50. Boxes are in pixels of the image.
        um_per_px : float, optional
            How many micrometres a pixel of the images is wide, if the weights say the same of their training. It sets
            the scale.
        classifiers : sequence of str or Path
            Crop classifiers that `train_classifier` made, or their exports. They name the boxes: the class of a box is
            the best class of the weighted mean of all class vectors. They change no box and no confidence. The
            detector's calibration, if it has one, is not used then (UserWarning).
        model_weights : sequence of float, optional
            The weight of the detector, and then of each classifier, in this mean. By default all are equal.

        Raises
        ------
        UsageError
            For a missing file, package or device, or a wrong number.
        CytoyoloError
            For a file that is not a YOLO detector, and for a classifier of other classes than the detector's.
        """
        counts = {"imgsz": imgsz, "batch": batch, "threads": threads, "max_det": max_det}
        for name, value in counts.items():
            if value is not None:
                check_count(name, value)
        for name, share in {"conf": conf, "iou": iou}.items():
            check_share(name, share)
        check_tiling(tiles, scale, um_per_px)
        if isinstance(classifiers, str | Path):
            raise UsageError("classifiers", classifiers, "give a list of files")
        shares = check_weights(model_weights, 1 + len(classifiers), len(classifiers))
        self._given: dict[str, Any] = {"backend": backend, "device": device, "imgsz": imgsz, "threads": threads}
        weights = weights_path(weights)
        self._weights, self._batch = weights.absolute(), batch
        self.conf, self.iou = conf, iou
        self.max_det, self.field_limit = defaults.MAX_DETECTIONS, sys.maxsize
        if max_det is not None:
            self.keep_at_most(max_det)
        network = open_network(weights, **self._given)
        self.white, self.trained_on = network.facts.white, network.facts.trained_on
        self.trained_imgsz = network.facts.imgsz or network.side
        um = self.trained_on.um_per_px if self.trained_on else None
        self.resolutions: tuple[float, ...] = () if um is None else (um,)
        self.tiling = tiling_of(tiles, scale, um_per_px, network.facts, network.side, weights)
        self._remarks = Remarks(self.white)
        self.thresholds: NDArray[np.float64] | None = None
        self._use(network)
        self.naming: Naming | None = None
        if classifiers:
            if self._calibration:
                warnings.warn(NOT_USED, stacklevel=2)
            self.naming = Naming(
                [weights_path(path) for path in classifiers],
                self.codes,
                shares,
                backend=backend,
                device=device,
                threads=threads,
                white=self.white,
            )

    def _use(self, network: Network) -> None:
        """Let this process find boxes by this network."""
        self.codes: tuple[str, ...] = network.facts.codes
        self.spec: DataSpec | None = network.facts.spec
        self.label = network.label
        self.precision = network.facts.precision
        self.device, self.calls = network.device, network.calls
        self.batch = self._batch or network.batch
        self.imgsz, self.stride = network.side, network.facts.stride
        self._sha256, self._calibration = network.facts.sha256, network.facts.calibration
        self._network: Network | None = network
        self._process = os.getpid()  # last, because other threads ask for it

    @property
    def calibration(self) -> Calibration | None:
        """What makes probabilities of the scores. None if the weights are not calibrated, or if classifiers name the
        boxes too."""
        return None if self.naming else self._calibration

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None, "_process": None, "_remarks": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # The weights are opened at the first call: a pool of processes hangs, or ends, by an error while it unpickles.
        self.__dict__.update(state)
        self._remarks = Remarks(self.white)

    def _own_network(self) -> Network:
        """The network, opened again where another process opened it."""
        if self._network is None or self._process != os.getpid():
            with _opening:
                if self._network is None or self._process != os.getpid():
                    self._use(self._opened_again())
        assert self._network is not None
        return self._network

    def _opened_again(self) -> Network:
        settings = self._given
        if old := self._network:
            if old.device != "cpu":
                raise CytoyoloError(
                    f"a Detector on GPU {old.device} was opened before this process was forked, and a GPU can't be "
                    'used after a fork; open it in each process, or start processes by the method "spawn".'
                )
            settings = {**settings, "backend": old.backend, "device": old.device, "imgsz": old.side}
        network = open_network(self._weights, **settings)
        if network.facts.sha256 != self._sha256:
            raise CytoyoloError(f"{self._weights} has changed since it was opened; open it again.")
        return network

    # Pictures and texts can be iterated over too, but each is one image.
    @overload
    def predict(  # type: ignore[overload-overlap]
        self, images: OneImage, *, channels: Channels = "bgr", conf: float | None = None, on_error: OnError = "raise"
    ) -> Detections: ...
    @overload
    def predict(
        self,
        images: Iterable[OneImage],
        *,
        channels: Channels = "bgr",
        conf: float | None = None,
        on_error: OnError = "raise",
    ) -> list[Detections]: ...

    def predict(
        self,
        images: OneImage | Iterable[OneImage],
        *,
        channels: Channels = "bgr",
        conf: float | None = None,
        on_error: OnError = "raise",
    ) -> Detections | list[Detections]:
        """Find the cells of one image, or of several images, in pixels of the image.

        Large images are searched in tiles, as the detector's `tiles` say. Warns (UserWarning) once about each of these:
        an image far larger than the network's input, an image with more boxes than are kept, cells that are more than
        twice or less than half as large as the training's, and files whose picture may not be the expected picture.

        Parameters
        ----------
        images : str, Path, array (h, w, 3) or (h, w), picture of Pillow, or an iterable of these
            One image, or several as a list or any other iterable. An image is the path of a file, a picture of Pillow,
            or an array uint8: (h, w, 3), or (h, w) for a gray image. In a list, a folder (with its sub-folders) or a
            pattern such as `slides/*.jpg` means all its images: `predict(["slides/"])`. A file of more than 8 bits is
            shown in the range that the weights were trained with.
        channels : str
            The order of the channels in arrays: "bgr", as OpenCV reads, or "rgb".
        conf : float, optional
            The least confidence of a box in this call, 0 to 1; by default the detector's.
        on_error : str
            What becomes of a file that can't be used: "raise" an error, or "skip" it with a warning.

        Returns
        -------
        Detections or list of Detections
            One result for one image, else a list in the order of the images, without those that were skipped. `image`
            is the path as it was given, or the number of the array in the call ("image0"). `plot` reads a file again;
            it knows the pixels of an array unless the images came one by one from a generator.

        Raises
        ------
        UsageError
            For an argument that is not an image, a folder or a pattern that is not in a list, and a pattern that
            matches nothing.
        CytoyoloError
            For a file that can't be used, unless it is skipped.

        Examples
        --------
        >>> from cytoyolo import Detector
        >>> detector = Detector("best.pt", device="cpu")
        >>> detector.codes
        ('dark', 'pale')
        >>> detector.predict("slides/blob00.jpg").size
        (80, 72)
        >>> for found in detector.predict(["slides/"], conf=0.5, on_error="skip"):
        ...     path = found.save(f"{found.image}.cells.png")
        """
        check_choice("channels", channels, Channels)
        check_choice("on_error", on_error, OnError)
        if conf is not None:
            check_share("conf", conf)
        remember = isinstance(images, list | tuple) or is_one(images)
        results: list[Detections] = []
        skipped: list[str] = []
        sides = Sides(self.trained_on, self.tiling.scale)
        for chunk in chunks(enumerate(expanded(images)), self.batch):
            given = []
            for number, image in chunk:
                try:
                    given.append(given_image(image, number, channels, self.white, remember))
                except UsageError:
                    raise
                except CytoyoloError as error:
                    if on_error == "raise" or is_one(images):
                        raise
                    skipped.append(str(error))
            results += self._predicted(given, conf)
            for one in results[-len(given) :] if given else ():
                sides.add(one.xyxy, one.confidence)
        self._remarks.tell(partial(warnings.warn, stacklevel=3))
        if problem := sides.problem():
            warnings.warn(problem, stacklevel=2)
        if skipped:
            warnings.warn(f"images that were skipped: {len(skipped):,} ({listed(skipped, 3)})", stacklevel=2)
        return results[0] if is_one(images) else results

    def _predicted(self, given: Sequence[GivenImage], conf: float | None) -> list[Detections]:
        """Predict some images in one call of the network."""
        pictures = [image.pixels for image in given]
        results = search(self, pictures, partial(self.detect, conf=conf))
        results = [named(self, picture, one) for picture, one in zip(pictures, results, strict=True)]
        results = [calibrated(self, one) for one in results]
        self._warn(pictures, results)
        for image in given:
            if image.decoded:
                self._remarks.add(image.name, image.decoded)
        return [replace(one, image=image.name, source=image.source) for one, image in zip(results, given, strict=True)]

    def _warn(self, images: Sequence[Image], found: Sequence[Detections]) -> None:
        """Warn the caller of `predict`."""
        if large := max((times for image in images if (times := shrinkage(image.shape[1::-1], self))), default=0):
            known = self.trained_on
            remedy = f"tiles={known.side}" if known else "tiles the longer side of the training's images"
            warnings.warn(
                f"an image is {large:.1f} times as large as the network's input of {self.imgsz} px: its cells are "
                f"shrunk and may be missed; give {remedy}, or a larger imgsz.",
                stacklevel=4,
            )
        if any(one.cut_confidence for one in found):
            warnings.warn(
                f"an image has more boxes than max_det={self.max_det}: the faintest are left out; give a "
                "higher max_det.",
                stacklevel=4,
            )

    def keep_at_least(self, count: int) -> None:
        """Raise a lower limit of the number of boxes in an image to `count`."""
        self.max_det, self.field_limit = max(self.max_det, count), max(self.field_limit, count)

    def keep_at_most(self, count: int) -> None:
        """Set the limit of the number of boxes in an image, divided or not, to `count`."""
        self.max_det = self.field_limit = count

    def detect(self, images: Sequence[Image], most: int | None = None, conf: float | None = None) -> list[Detections]:
        """Search images (h, w, 3) uint8 BGR in one call of the network. No image is divided.

        `most` is the largest number of boxes in an image and `conf` the least confidence; by default the detector's
        own.
        """
        if not images:
            return []
        outputs = self._own_network().run(to_input(images, self.imgsz))
        found = []
        for image, output in zip(images, outputs, strict=True):
            xyxy, scores, cut = suppress(output, self.conf if conf is None else conf, self.iou, most or self.max_det)
            boxes = boxes_back(xyxy, image, self.imgsz)
            found.append(of_scores(boxes, scores, self.codes, cut, (image.shape[1], image.shape[0])))
        return found


def detect_files(
    detector: Model, paths: Iterable[Path], kept: Callable[[Path, Detections], Detections] | None = None
) -> Iterator[SearchedFile]:
    """Yield the result of each file, in the given order. A bad file has a `problem`, and the other files are still
    searched. `kept` returns the boxes of a file that are needed; only these are named by classifiers.

    Files are read and searched on `detector.calls` threads, `detector.batch` files at a time. The threads work ahead,
    so that they never wait for the caller. Large files are searched in tiles, one file after the other, on as many
    threads.
    """
    none, alone = nothing(detector.codes), threading.Lock()

    def work(chunk: list[Path]) -> list[SearchedFile]:
        loaded = [load(path) for path in chunk]
        decoded = [decode_bytes(path, one, detector.white) for path, one in zip(chunk, loaded, strict=True)]
        found = iter(search(detector, [one.picture for one in decoded if not one.problem], alone=alone))
        results = []
        for path, one, shown in zip(chunk, loaded, decoded, strict=True):
            cells = none if shown.problem else with_pixels(next(found))
            if kept is not None and not shown.problem:
                cells = kept(path, cells)
            cells = above(detector.thresholds, named(detector, shown.picture, cells, alone))
            results.append(SearchedFile(path, shown, cells, (one.size, one.mtime_ns)))
        return results

    ahead = 2 * detector.calls
    for found in in_order(work, chunks(paths, detector.batch), workers=detector.calls, chunk=1, ahead=ahead):
        yield from found


def shrinkage(size: tuple[int, int], model: Model) -> float:
    """How many times larger than the network's input is what it sees at once of an image of `size` (width, height), if
    that is more than LARGE_FIELD; else 0, also if the training's images were shrunk about as much."""
    times, trained = model.tiling.seen_side(size) / model.imgsz, model.trained_on
    usual = max(LARGE * trained.side, trained.longest) / model.trained_imgsz if trained else 0.0
    return times if times > max(LARGE_FIELD, usual) else 0.0


def with_pixels(found: Detections) -> Detections:
    """Return the detections that still have an area after their corners are rounded to whole pixels."""
    xyxy = found.pixels
    return found.take(np.asarray((xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)))

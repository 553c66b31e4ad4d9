"""Classifier: crops of cells -> the probabilities of their classes. The second stage behind a detector."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytoyolo import defaults
from cytoyolo.detector.crops import Crop, Pixels, crops
from cytoyolo.detector.model_info import CLASSIFY
from cytoyolo.detector.networks import Network, open_network
from cytoyolo.detector.preprocessing import to_input


@dataclass(frozen=True)
class Classifier:
    """Names the class of each box of an image.

    Attributes
    ----------
    network : Network
        The network on its device.
    crop : Crop
        How it takes cells.

    Examples
    --------
    >>> from cytoyolo.detector.classifier import open_classifier
    >>> classifier = open_classifier("run/weights/best.pt")  # doctest: +SKIP
    >>> classifier.probabilities(image, boxes).shape  # doctest: +SKIP
    (3, 5)
    """

    network: Network
    crop: Crop

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the classes, by id."""
        return self.network.facts.codes

    @property
    def label(self) -> str:
        """How it is named to people."""
        return self.network.label

    def probabilities(self, image: Pixels, xyxy: NDArray[Any]) -> NDArray[np.float32]:
        """Compute the probabilities of the classes of each box.

        Parameters
        ----------
        image : array (h, w, 3) of uint8
            BGR.
        xyxy : array (n, 4)
            Boxes in pixels of the image.

        Returns
        -------
        array (n, classes) of float32
            Each row sums to 1. The result for a box does not depend on the other boxes, up to rounding.

        Raises
        ------
        UsageError
            For an image or boxes of another form.
        """
        return self.of_crops(crops(image, xyxy, self.crop.side, self.crop.margin))

    def of_crops(self, squares: Pixels) -> NDArray[np.float32]:
        """Compute the probabilities (n, classes) of squares (n, side, side, 3) BGR that `crops` cut out."""
        found = np.empty((len(squares), len(self.codes)), np.float32)
        for start in range(0, len(squares), self.network.batch):
            part = slice(start, start + self.network.batch)
            found[part] = self.network.run(to_input(list(squares[part]), self.crop.side))
        found /= found.sum(axis=1, keepdims=True)  # a softmax in 32 bits misses 1 by some 1e-7
        return found


def open_classifier(
    path: str | Path,
    backend: defaults.Backend = defaults.BACKEND,
    device: str = defaults.DEVICE,
    threads: int | None = None,
) -> Classifier:
    """Open the weights of `cytoyolo train-classifier` (.pt), or their export (an ONNX file or an OpenVINO folder).

    Backend and device are chosen as for a detector: see `networks.open_network`.

    Raises
    ------
    UsageError
        For a missing file, package or device.
    CytoyoloError
        For a file that is not such a classifier.
    """
    network = open_network(Path(path), backend, device, threads=threads, task=CLASSIFY)
    assert network.facts.crop is not None  # this makes it a classifier
    return Classifier(network, network.facts.crop)

"""What a detector's network sees of cells: the features that its head judges, pooled over the box of a cell."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cytoyolo.detector.preprocessing import fit, to_input

Picture = NDArray[np.uint8]
# The grid of points in a box whose features are averaged, on each side.
_GRID = 4


class CellFeatures:
    """The features of cells in the network of a checkpoint.

    Attributes
    ----------
    side : int
        The side in pixels to which pictures are scaled.

    Examples
    --------
    >>> features = CellFeatures(Path("best.pt"), side=64)
    >>> picture = np.full((80, 72, 3), 200, np.uint8)
    >>> found = features.of([picture], np.array([[10, 10, 40, 40]]))
    >>> found.shape[0], round(float(np.linalg.norm(found[0])), 3)
    (1, 1.0)
    """

    def __init__(self, weights: Path, side: int, device: str = "cpu") -> None:
        """Open a checkpoint (.pt). Raises CytoyoloError if it is not a detector."""
        from cytoyolo.detector.weights import load_network

        network, _ = load_network(weights)
        self.side, self._device = side, device if not device.isdecimal() else f"cuda:{device}"
        self._network = network.float().to(self._device).eval()
        self._levels: list[Any] = []
        head = network.model[-1]
        self._stride = [float(stride) for stride in head.stride]
        head.register_forward_pre_hook(self._remember)

    def _remember(self, head: Any, inputs: tuple[Any, ...]) -> None:
        """Keep what comes into the head: a map of features for each of its strides."""
        self._levels = list(inputs[0])

    def of(self, pictures: Sequence[Picture], xyxy: NDArray[Any]) -> NDArray[np.float32]:
        """Compute the features of one cell in each of some pictures.

        Parameters
        ----------
        pictures : sequence of array (h, w, 3)
            BGR, uint8.
        xyxy : array (n, 4)
            The box of the cell in each picture, in its pixels.

        Returns
        -------
        array (n, features)
            Rows of length 1.
        """
        import torch
        from torchvision.ops import roi_align  # type: ignore[import-untyped]

        boxes = np.array([self._inside(picture, box) for picture, box in zip(pictures, xyxy, strict=True)], np.float32)
        with torch.inference_mode():
            self._network(torch.from_numpy(to_input(pictures, self.side)).to(self._device))
            each = [box[None] for box in torch.from_numpy(boxes).to(self._device)]
            pooled = [
                roi_align(level, each, _GRID, 1 / stride, aligned=True).mean((2, 3))
                for level, stride in zip(self._levels, self._stride, strict=True)
            ]
            # The levels differ in size and in the number of their channels, and each counts the same.
            rows = torch.cat([torch.nn.functional.normalize(one) for one in pooled], 1) / len(pooled) ** 0.5
        return np.asarray(rows.cpu().numpy(), np.float32)

    def _inside(self, picture: Picture, box: NDArray[Any]) -> NDArray[np.float64]:
        """Return a box of a picture in the pixels of the square that the network takes."""
        width, height, left, top = fit(picture, self.side)
        scale = np.array([width / picture.shape[1], height / picture.shape[0]] * 2)
        inside: NDArray[np.float64] = np.asarray(box, float) * scale + np.array([left, top] * 2)
        return inside


def around(picture: Picture, box: Iterable[float], side: int) -> tuple[Picture, NDArray[np.float64]]:
    """Cut a window of at most `side` pixels, with a box in its middle, out of a large picture.

    Returns the window and the box in its pixels. A box that is larger than the window makes it as large as the box.

    Examples
    --------
    >>> window, box = around(np.zeros((1000, 400, 3), np.uint8), (10, 500, 30, 540), 200)
    >>> window.shape[:2], box.tolist()
    ((200, 200), [10.0, 80.0, 30.0, 120.0])
    """
    x1, y1, x2, y2 = box
    starts, stops = [], []
    for first, last, length in ((x1, x2, picture.shape[1]), (y1, y2, picture.shape[0])):
        size = min(max(side, int(np.ceil(last - first))), length)
        start = int(np.clip((first + last) // 2 - size // 2, 0, length - size))
        starts.append(start)
        stops.append(start + size)
    window = picture[starts[1] : stops[1], starts[0] : stops[0]]
    return window, np.array([x1, y1, x2, y2], float) - np.array(starts * 2, float)

"""How images are changed before a network learns from them, beyond what Ultralytics has: stain, focus, balance.

All functions work on arrays and take the source of chance, so that a test can repeat what a training does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# Optical densities (blue, green, red) of the two dyes of a Romanowsky stain, methylene blue and eosin, as ImageJ's
# colour deconvolution has them under "Giemsa" (G. Landini; method: Ruifrok and Johnston 2001). The third direction is
# what neither dye explains.
_METHYLENE_BLUE, _EOSIN = (0.1996, 0.5133, 0.8347), (0.2831, 0.9541, 0.0928)
# The largest optical density of glass under another lamp, and how far its colours differ, at full strength.
_GLASS, _TINT = 0.8, 0.25
# The share of an image's pixels that are at least as light as glass: the lightest may be reflections.
_LIGHTEST = 0.05
# Glass is measured on each n-th pixel of each n-th row.
_STEP = 8
# The largest standard deviation of a blur at full strength, as a share of the image's longer side.
_BLUR = 0.012
# The logarithm of the light of each value of a pixel: minus its optical density. The 1 keeps black finite.
_LIGHT = np.log((np.arange(256, dtype=np.float32) + 1) / 256)


@dataclass(frozen=True)
class Augmentation:
    """The settings of a training that Ultralytics does not have. 0 switches each off.

    Parameters
    ----------
    stain
        Strength of the changes of stain, 0 to 1: see `stain`.
    focus
        Strength of the blur, 0 to 1: see `defocus`.
    rot90
        Share of the images that are turned by 90, 180 or 270 degrees, 0 to 1. No box grows by such a turn.
    balance
        How far rare classes are shown more often, 0 to 1: see `shares`.
    """

    stain: float = 0.0
    focus: float = 0.0
    rot90: float = 0.0
    balance: float = 0.0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Augmentation":
        """Take these settings out of all settings of a training."""
        return cls(**{name: float(settings[name]) for name in OWN if name in settings})

    def to_dict(self) -> dict[str, float]:
        """As it is stored with weights."""
        return asdict(self)


# The names of these settings.
OWN = tuple(field.name for field in fields(Augmentation))


def _dyes() -> NDArray[np.float32]:
    """The directions (3, 3) of the dyes in optical density, a row a dye, each of length 1."""
    both = np.array([_METHYLENE_BLUE, _EOSIN])
    rows = np.vstack([both, np.cross(*both)])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


_DYES = _dyes()
_UNMIXED = np.linalg.inv(_DYES)


def stain(image: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Show an image as if its smear had been stained, lit and photographed in another laboratory.

    Light is absorbed in proportion to the amount of a dye, so dyes add up in optical density and not in the values of
    pixels (Ruifrok and Johnston 2001). So the work is done in optical density, in three steps:

    1. The density of glass is subtracted: the 5th percentile of each colour.
    2. The rest is divided into methylene blue, eosin and what neither explains. Each part is multiplied by a random
       number from 1 - strength to 1 + strength (after Tellez et al. 2018, who did this for tissue), and all three by a
       random number from 1 - strength to 1: cameras differ in contrast, and smears in thickness.
    3. The density of glass under another lamp is added. It lies between the glass of the image and random glass: at
       strength 1, from white to gray (density 0.8), with a tint of up to 0.25.

    Parameters
    ----------
    image : array (h, w, 3) of uint8
        BGR.
    strength : float
        0 (nothing changes) to 1.
    random : numpy.random.Generator
        The source of chance.

    Returns
    -------
    array (h, w, 3) of uint8
        A new image, BGR.

    Examples
    --------
    >>> import numpy as np
    >>> cell = np.full((2, 2, 3), (140, 60, 110), np.uint8)
    >>> bool((stain(cell, 0.0, np.random.default_rng(0)) == cell).all())
    True
    """
    gains = random.uniform(1 - strength, 1 + strength, 3) * random.uniform(1 - strength, 1)
    lamp = random.uniform(0, _GLASS) + random.uniform(-_TINT, _TINT, 3)
    values = np.sort(image[::_STEP, ::_STEP].reshape(-1, 3), axis=0)
    glass = -_LIGHT[values[int((1 - _LIGHTEST) * (len(values) - 1))]]
    new_glass = np.maximum((1 - strength) * glass + strength * lamp, 0)
    # A pixel's density is a row: unmix it, change the amounts of the dyes, mix them again. All three are one matrix.
    matrix = (_UNMIXED @ np.diag(gains) @ _DYES).T
    shift = matrix @ glass - new_glass
    light = cv2.transform(cv2.LUT(image, _LIGHT), np.hstack([matrix, shift[:, None]]).astype(np.float32))
    # Nothing is darker than black: OpenCV would show its negative value as a positive one.
    return np.asarray(cv2.convertScaleAbs(cv2.exp(np.maximum(light, _LIGHT[0])), alpha=256, beta=-1), np.uint8)


def defocus(image: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Blur every second image, as if it were out of focus or taken by a simpler lens.

    The standard deviation of the blur is a random share of the image's longer side: up to 0.012 * strength.

    Parameters
    ----------
    image : array (h, w, 3) of uint8
    strength : float
        0 (nothing changes) to 1.
    random : numpy.random.Generator
        The source of chance.

    Returns
    -------
    array (h, w, 3) of uint8
    """
    sigma = random.uniform(0, strength * _BLUR) * max(image.shape[:2])
    is_sharp = random.random() < 0.5
    return image if is_sharp or not sigma else np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def shares(classes: Sequence[NDArray[np.int64]], power: float) -> NDArray[np.float64]:
    """How often each image is drawn, as shares that sum to 1.

    An image weighs as much as the rarest class in it: (images of the class) ** -power. So power 0 draws all images
    alike, and power 1 draws each class alike. Images without cells count as a class of their own.

    Parameters
    ----------
    classes : sequence of n arrays of int
        The classes of the boxes in each image.
    power : float
        0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> shares([np.array([0]), np.array([0]), np.array([0]), np.array([1])], 1.0).round(3).tolist()
    [0.167, 0.167, 0.167, 0.5]
    """
    present = [np.unique(own) if len(own) else np.array([-1]) for own in classes]
    found, counts = np.unique(np.concatenate(present), return_counts=True)
    of_class = dict(zip(found.tolist(), (counts.astype(np.float64) ** -power).tolist(), strict=True))
    weights = np.array([max(of_class[one] for one in own.tolist()) for own in present])
    return np.asarray(weights / weights.sum())

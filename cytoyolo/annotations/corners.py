"""Refuse label tables whose boxes are not corners in pixels, where no audit is asked for all that can be wrong."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytoyolo.annotations.coordinate_forms import PIXELS, are_fractions, judge
from cytoyolo.errors import CytoyoloError


def refuse_other_forms(
    path: Path, xyxy: NDArray[np.float64], size: NDArray[np.float64], image: NDArray[np.int64]
) -> None:
    """Raise CytoyoloError for boxes that are not corners in pixels, as far as the numbers and known sizes tell.

    Parameters
    ----------
    path : Path
        The table, as the message calls it.
    xyxy : array (n, 4)
        The numbers of its labels.
    size : array (n, 2)
        Width and height of each label's image in pixels; infinite if not known.
    image : array (n,)
        The number of each label's image.
    """
    found = judge(xyxy, size, image)
    if (len(xyxy) and are_fractions(xyxy).mean() > 0.5) or (
        found is not None and found.strong and found.form != PIXELS
    ):
        raise CytoyoloError(
            f"{path}: its boxes are not corners in pixels; look at it with `cytoyolo audit`, and mend it with "
            "`cytoyolo repair`."
        )

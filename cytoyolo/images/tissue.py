"""Where a slide has something to look at: the coloured part of its thumbnail."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cytoyolo.images.slide_form import Thumbnail

# The threshold of the saturation (0 to 255) lies between these numbers. They are the two thresholds that CLAM uses:
# the threshold of its presets, and the threshold of its function.
_LEAST, _MOST = 8, 20


def tissue_mask(thumbnail: Thumbnail) -> NDArray[np.bool_]:
    """Tell which pixels of a thumbnail have tissue or cells.

    Stained tissue has a colour and glass has none. So a pixel is tissue if its saturation (of HSV) is above a
    threshold. The threshold is chosen by Otsu's method (IEEE Trans. Syst. Man Cybern. 9:62, 1979) within 8 to 20 of
    255, the range of CLAM (Lu et al., Nat. Biomed. Eng. 5:555, 2021). Without the upper limit, a slide that is tissue
    everywhere would be divided into tissue and paler tissue. Pixels that could not be read count as tissue. The mask
    is widened by one pixel, because a small cell may colour its pixel only in part.

    Parameters
    ----------
    thumbnail : Thumbnail
        The small picture of a slide, in colours.

    Returns
    -------
    array (h, w)
        True where there is tissue.
    """
    saturation = cv2.cvtColor(thumbnail.picture, cv2.COLOR_BGR2HSV)[..., 1]
    chosen, _ = cv2.threshold(saturation, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    found = (saturation > min(max(chosen, _LEAST), _MOST)) | thumbnail.unread
    return cv2.dilate(found.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_)

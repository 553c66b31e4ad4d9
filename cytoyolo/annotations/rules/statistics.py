"""How unusual a value is within its set, computed so that outliers hardly change the result."""

import numpy as np
from numpy.typing import NDArray

# Of normal data the median absolute deviation is 0.6745 sigma, the mean absolute deviation 0.7979 sigma.
_MAD, _MEAN = 0.6745, 0.7979


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the modified z-score of each value (Iglewicz and Hoaglin, 1993): 0.6745 (x - median) / MAD.

    If the MAD is 0 because more than half of the values are equal, the mean absolute deviation is used instead. The
    result is 0 if all values are equal, and NaN for NaN.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.full(len(values), np.nan)
    away = values - np.median(finite)
    deviations = np.abs(finite - np.median(finite))
    mad, mean = float(np.median(deviations)), float(deviations.mean())
    if mad == 0 and mean == 0:
        return np.where(np.isfinite(values), 0.0, np.nan)
    return away * (_MAD / mad if mad > 0 else _MEAN / mean)

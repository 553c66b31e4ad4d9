"""Find out in which form a table gives its boxes: corners in pixels (as it should), or another form. No files.

The forms are: corners; x, y, width, height; centre, width, height; corners in another order; per cent; fractions; and
pixels of a resized copy of the image. For each form, the likelihood of the whole table is computed. The model behind it
is wide on purpose:

- the size of a box is log-normal with heavy tails,
- its width and height are similar,
- it lies in its image, anywhere or near the centre,
- one box in fifty can be anything.

The likelihood is a density over the numbers in the table, so that forms with different scales can be compared. A form
is judged by its gain: its log-likelihood minus the log-likelihood of corners in pixels, in nats (natural logarithms).
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cytoyolo.boxes import Boxes, area

Layout = Literal["xyxy", "xywh", "cxcywh", "xxyy", "yxyx"]
Floats = NDArray[np.float64]

LAYOUTS: tuple[Layout, ...] = ("xyxy", "xywh", "cxcywh", "xxyy", "yxyx")
# How much likelier than corners a form must be, in nats: (for the whole table, for each row). WEAK evidence is
# reported, STRONG evidence stops an audit. Measured in docs/measurements/coordinate-forms.md.
WEAK, STRONG = (8.0, 0.25), (20.0, 0.5)
# Strong evidence needs at least this number of rows. If all boxes lie in the upper left of their images, it needs this
# number of images.
MIN_ROWS = 10
# A form explains a table if at least this share of the boxes lies in their images. A box may reach outside by the
# tolerance: a share of the image's side plus some pixels.
MIN_FITTING = 0.95
_TOLERANCE, _TOLERANCE_PX = 0.02, 1.0
# At most _MOST_ROWS rows are examined, spread evenly over the table. A table with fewer than _LEAST_ROWS is not judged.
_MOST_ROWS, _LEAST_ROWS = 20_000, 2
# The share of boxes that can be anything, the share of boxes with corners in the wrong order (some tools write them),
# and the degrees of freedom of Student's t.
_ANYTHING, _INVERTED, _FREEDOM = 0.02, 0.02, 4
# The spread of log(width / height) and the share of boxes near the centre of their images: the likeliest candidate is
# used. A large spread costs nats for each row, because cells are seldom so far from a circle. The last number is the
# spread of centred boxes, in sides of the image.
_ASPECT_SPREADS, _CENTRED_SHARES, _CENTRED_SPREAD = {0.08: 0.0, 0.15: 0.0, 0.3: 0.1, 0.6: 0.3}, (0.02, 0.5, 0.9), 0.05
# The spread of log(side) is estimated as if _SIZE_ROWS boxes with _SIZE_SPREAD had been seen before. It is never
# smaller than the last number.
_SIZE_SPREAD, _SIZE_ROWS, _MIN_SIZE_SPREAD = 0.4, 4, 0.12
# The penalty of a form, in nats for the whole table, because it is rare or because a number was fitted to the table.
_RARE_UNIT, _RARE_ORDER, _SIMPLE_FACTOR, _SQUARE, _ANY_FACTOR = 2.0, 3.0, 6.0, 7.0, 9.0
# The penalty of a form, in nats for each row. _COPY: pixels of a copy, whose size is fitted to the table. _TWOFOLD:
# axes that are exchanged (in nearly square images this makes little difference), or two faults at once.
_COPY, _TWOFOLD = 0.2, 0.5
# Scales of resized copies that are tried, and sides of square copies that networks use.
_FACTORS = (1 / 8, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 4 / 3, 3 / 2, 2, 5 / 2, 3, 4, 5, 6, 8)
_SQUARES = (224, 256, 320, 384, 416, 448, 512, 600, 608, 640, 768, 800, 832, 1000, 1024, 1280, 1600, 2048)
# A candidate is tried if its logarithm differs by less than this from the table's own.
_NEAR = 0.06
# The boxes of a smaller copy also lie in the images themselves. They are clear evidence only if the conversion makes
# their sides at least this many times longer.
_CLEAR_SCALE = 1.5


class Form(NamedTuple):
    """How four numbers describe a box.

    Attributes
    ----------
    layout : str
        What the four numbers are: "xyxy", "xywh", "cxcywh", "xxyy" or "yxyx".
    relative : bool
        Whether the numbers are relative to the image's size.
    by : float
        Not relative: pixels = number x by. Relative: pixels = number / by x side of the image. So `by` is 1 for
        fractions, 100 for per cent, and the side of the copy for boxes of a square resized copy.
    """

    layout: Layout = "xyxy"
    relative: bool = False
    by: float = 1.0

    @property
    def unit(self) -> str:
        """`pixels`, `normalised`, `per cent` or `resized`."""
        if self.relative:
            return {1.0: "normalised", 100.0: "per cent"}.get(self.by, "resized")
        return "pixels" if self.by == 1 else "resized"

    @property
    def cost(self) -> float:
        """The penalty of the form, in nats for each row."""
        if self.layout == "yxyx" or (self.unit == "resized" and self.layout != "xyxy"):
            return _TWOFOLD
        return _COPY if self.unit == "resized" else 0.0


PIXELS = Form()


class Evidence(NamedTuple):
    """The evidence for the likeliest form of a table.

    Attributes
    ----------
    form : Form
        The likeliest form.
    gain : float
        Its log-likelihood minus the log-likelihood of corners in pixels, in nats.
    rival : Form or None
        Another form that is about as likely.
    rows, images : int
        How many rows and images were examined.
    fitting, fitting_as_corners : float
        The share of boxes that lie in their images, in this form and as corners.
    inverted : int
        Rows with x2 < x1 or y2 < y1.
    aspect, aspect_as_corners : tuple of (float, float)
        The quartiles of width / height.
    sizes : bool
        Whether the sizes of the images were known.
    scale : float
        How many times longer the sides of the boxes are in this form than as corners (the median of the square root of
        the ratio of areas); NaN if there are no such boxes.
    """

    form: Form
    gain: float
    rival: Form | None
    rows: int
    images: int
    fitting: float
    fitting_as_corners: float
    inverted: int
    aspect: tuple[float, float]
    aspect_as_corners: tuple[float, float]
    sizes: bool
    scale: float

    @property
    def weak(self) -> bool:
        """Whether the form explains the table better than corners in pixels, perhaps only a little."""
        return self._gains(WEAK)

    @property
    def strong(self) -> bool:
        """Whether the table certainly does not hold corners in pixels.

        Weak evidence is enough if some rows, read as corners, have corners in the wrong order. Otherwise a repair would
        swap the corners of these rows.
        """
        if self.inverted and self.weak:
            return True
        # In a few images all cells may happen to lie in the upper left. So such a form needs many images, not rows.
        upper_left = self.form.unit == "resized" and self.fitting_as_corners > 0.5
        # If all boxes also lie in their images as corners, their cells may simply not be in the middle.
        if upper_left and self.fitting_as_corners >= MIN_FITTING and not self.scale >= _CLEAR_SCALE:
            return False
        return (self.images if upper_left else self.rows) >= MIN_ROWS and self._gains(STRONG)

    def _gains(self, least: tuple[float, float]) -> bool:
        # Without the sizes of the images, corners in the right order could be any other form too.
        if not self.sizes and not self.inverted:
            return False
        return self.form != PIXELS and self.gain >= least[0] and self.gain >= least[1] * self.rows


def to_xyxy(values: Boxes, size: Floats, form: Form) -> Boxes:
    """Convert the numbers of a table to boxes in pixels.

    Parameters
    ----------
    values : array (n, 4)
        The numbers of each row.
    size : array (n, 2)
        Width and height of each row's image, in pixels.
    form : Form
        The form of the numbers.

    Returns
    -------
    array (n, 4)
        Boxes (xyxy). Corners in the wrong order stay so.

    Examples
    --------
    >>> to_xyxy(np.array([[10.0, 20, 30, 40]]), np.array([[100.0, 100]]), Form("xywh")).tolist()
    [[10.0, 20.0, 40.0, 60.0]]
    """
    first, second, third, fourth = values.T
    corners = {
        "xyxy": (first, second, third, fourth),
        "xywh": (first, second, first + third, second + fourth),
        "cxcywh": (first - third / 2, second - fourth / 2, first + third / 2, second + fourth / 2),
        "xxyy": (first, third, second, fourth),
        "yxyx": (second, first, fourth, third),
    }[form.layout]
    return np.stack(corners, axis=1) * np.tile(_scale(size, form), 2)


def _scale(size: Floats, form: Form) -> Floats:
    """Return how many pixels (n, 2) the number 1 means in this form."""
    return size / form.by if form.relative else np.full_like(size, form.by)


def are_fractions(values: Boxes) -> NDArray[np.bool_]:
    """Tell which rows (n, 4) have only numbers from 0 to 1, and not only zeros."""
    return np.asarray(((values >= 0) & (values <= 1)).all(axis=1) & (values > 0).any(axis=1))


def judge(values: Boxes, size: Floats, image: NDArray[np.int64]) -> Evidence | None:
    """Find the likeliest form of a table.

    If the sizes of some images are known, only their rows are examined. If no size is known, the sizes are estimated
    from the outermost corners, and only the layouts in pixels are compared.

    Parameters
    ----------
    values : array (n, 4)
        The numbers of each row.
    size : array (n, 2)
        Width and height of each row's image in pixels; infinite if not known.
    image : array (n,)
        The number of each row's image.

    Returns
    -------
    Evidence or None
        None if there are too few rows.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> corner = random.uniform(20, 200, (50, 2))
    >>> values = np.hstack([corner, random.uniform(70, 90, (50, 2))])  # x, y, width, height
    >>> evidence = judge(values, np.full((50, 2), 300.0), np.arange(50))
    >>> evidence.form.layout, evidence.strong
    ('xywh', True)
    """
    known = np.isfinite(size).all(axis=1)
    rows = np.flatnonzero(np.isfinite(values).all(axis=1) & (known if known.any() else True))
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS)).astype(int))] if len(rows) else rows
    if len(rows) < _LEAST_ROWS:
        return None
    values, size, sizes = values[rows], size[rows], bool(known.any())
    if not sizes:
        return _chosen(values, image[rows], {form: (_outermost(values, form), 0.0) for form in _layouts()}, sizes)
    return _chosen(values, image[rows], {form: (size, rarity) for form, rarity in _candidates(values, size)}, sizes)


def judge_layout(values: Boxes, by: float) -> Layout:
    """Find the likeliest layout of values (n, 4) that are relative to `by`, for images whose size is not known."""
    size = np.full((len(values), 2), 1000.0)
    candidates = {form: (size, 0.0 if form.layout == "xyxy" else _RARE_UNIT) for form in _layouts(relative=True, by=by)}
    return _likeliest(values, candidates, sizes=True)[0].layout


def _chosen(
    values: Boxes, image: NDArray[np.int64], candidates: dict[Form, tuple[Floats, float]], sizes: bool
) -> Evidence:
    form, likelihoods = _likeliest(values, candidates, sizes)
    rivals = [other for other, value in likelihoods.items() if value > likelihoods[form] - WEAK[0] and other != form]
    rivals = [other for other in rivals if (other.layout, other.unit) != (form.layout, form.unit)]
    if not sizes and form.layout in ("xywh", "cxcywh"):  # only the size of the image could decide between these
        rivals = [PIXELS._replace(layout="cxcywh" if form.layout == "xywh" else "xywh")]
    boxes, corners = (to_xyxy(values, candidates[each][0], each) for each in (form, PIXELS))
    return Evidence(
        form,
        likelihoods[form] - likelihoods[PIXELS],
        max(rivals, key=lambda other: likelihoods.get(other, -math.inf), default=None),
        len(values),
        len(np.unique(image)),
        float(_fits(boxes, candidates[form][0]).mean()),
        float(_fits(corners, candidates[PIXELS][0]).mean()),
        int((corners[:, 2:] < corners[:, :2]).any(axis=1).sum()),
        _quartiles(boxes),
        _quartiles(corners),
        sizes,
        _scale_of(boxes, corners),
    )


def _likeliest(
    values: Boxes, candidates: dict[Form, tuple[Floats, float]], sizes: bool
) -> tuple[Form, dict[Form, float]]:
    """Return the likeliest candidate, and the log-likelihood of each. A candidate has image sizes and a penalty."""
    likelihoods = {}
    for form, (size, rarity) in candidates.items():
        boxes = to_xyxy(values, size, form)
        if form == PIXELS or _fits(boxes, size).mean() >= MIN_FITTING:
            likelihoods[form] = float(log_likelihood(values, size, form, sizes).sum()) - rarity
    form = max(likelihoods, key=lambda form: likelihoods[form] - form.cost * len(values), default=PIXELS)
    return form, likelihoods


def _layouts(relative: bool = False, by: float = 1.0) -> Iterator[Form]:
    return (Form(layout, relative, by) for layout in LAYOUTS)


def _candidates(values: Boxes, size: Floats) -> Iterator[tuple[Form, float]]:
    """Yield the forms that a table may have, each with its penalty in nats."""
    for form in _layouts():
        order = _RARE_ORDER if form.layout == "yxyx" else 0.0
        yield form, order
        for by in (1.0, 100.0):
            yield form._replace(relative=True, by=by), order + _RARE_UNIT
        for resized, rarity in _resized(values, size, form):
            yield resized, order + rarity + (0 if form.layout == "xyxy" else _RARE_UNIT)


def _resized(values: Boxes, size: Floats, form: Form) -> Iterator[tuple[Form, float]]:
    """Yield possible scales of a resized copy, from the ends of the outermost boxes and the median of the centres."""
    boxes = to_xyxy(values, size, form)
    boxes, size = boxes[whole := (boxes[:, 2:] > boxes[:, :2]).all(axis=1)], size[whole]
    if not len(boxes):
        return
    ends, centres = boxes[:, 2:], (boxes[:, :2] + boxes[:, 2:]) / 2
    shares = (float(np.quantile(ends / size, 0.99, axis=0).max()), 2 * float(np.median(centres / size)))
    for share in shares:
        if not 1 / 16 < share < 16 or abs(math.log(share)) < 2 * _NEAR:
            continue
        yield form._replace(by=1 / share), _ANY_FACTOR
        for factor in _FACTORS:
            if abs(math.log(factor / share)) < _NEAR:
                yield form._replace(by=1 / factor), _SIMPLE_FACTOR
    end, middle = float(np.quantile(ends, 0.99)), 2 * float(np.median(centres))
    for side in _SQUARES:
        if end <= 1.03 * side and (end > 0.85 * side or abs(math.log(max(middle, 1) / side)) < 2 * _NEAR):
            yield form._replace(relative=True, by=float(side)), _SQUARE


def _outermost(values: Boxes, form: Form) -> Floats:
    """Estimate one size (n, 2) for all images from the ends of the outermost boxes, as if the images were square."""
    ends = to_xyxy(values, np.ones((len(values), 2)), form)[:, 2:]
    return np.full((len(values), 2), max(1.03 * float(np.quantile(ends, 0.995, axis=0).max()), 1.0))


def _fits(boxes: Boxes, size: Floats) -> NDArray[np.bool_]:
    """Tell for boxes (n, 4) in pixels whether they have positive sides and lie in their images."""
    beyond = _TOLERANCE * size + _TOLERANCE_PX
    inside = (boxes[:, :2] >= -beyond).all(axis=1) & (boxes[:, 2:] <= size + beyond).all(axis=1)
    return np.asarray(inside & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))


def _quartiles(boxes: Boxes) -> tuple[float, float]:
    """Return the quartiles of width / height of boxes (n, 4) with positive sides; NaN if there are none."""
    side = boxes[:, 2:] - boxes[:, :2]
    side = side[(side > 0).all(axis=1)]
    if not len(side):
        return math.nan, math.nan
    low, high = np.quantile(side[:, 0] / side[:, 1], (0.25, 0.75))
    return float(low), float(high)


def _scale_of(boxes: Boxes, corners: Boxes) -> float:
    """Return how many times longer the sides of boxes (n, 4) are: the median of sqrt(area / area as corners)."""
    here, there = area(boxes), area(corners)
    both = (here > 0) & (there > 0)
    return float(np.median(np.sqrt(here[both] / there[both]))) if both.any() else math.nan


def log_likelihood(values: Boxes, size: Floats, form: Form, sizes: bool = True) -> Floats:
    """Compute the log density (n,) of each row of values (n, 4) in a form, over the numbers of the table.

    Without `sizes` the sizes of the images are only estimated. Then boxes are not expected near the centre.
    """
    boxes = to_xyxy(values, size, form)
    rarity = np.zeros(len(boxes))
    if form.layout in ("xyxy", "yxyx"):
        inverted = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
        boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
        rarity = np.where(inverted, math.log(_INVERTED), 0.0)
    anything = math.log(_ANYTHING) - float(np.log(np.ptp(values, axis=0) * 1.1 + 1e-9).sum())
    densities = np.full(len(values), anything)
    fits = _fits(boxes, size)
    if fits.any():
        scale = 2 * np.log(_scale(size[fits], form)).sum(axis=1)
        density = math.log(1 - _ANYTHING) + _box_density(boxes[fits], size[fits], sizes) + scale + rarity[fits]
        densities[fits] = np.logaddexp(anything, density)
    return densities


def _box_density(boxes: Boxes, size: Floats, sizes: bool) -> Floats:
    """Compute the log density (n,) of boxes (n, 4), in pixels, that lie in their images."""
    side = boxes[:, 2:] - boxes[:, :2]
    log_side, log_aspect = np.log(side).mean(axis=1), np.log(side[:, 0] / side[:, 1])
    away = log_side - np.median(log_side)
    spread = 1.4826 * float(np.median(np.abs(away)))
    spread = math.sqrt((len(side) * spread**2 + _SIZE_ROWS * _SIZE_SPREAD**2) / (len(side) + _SIZE_ROWS))
    # Change of variables: d(width) d(height) = width x height x d(log side) d(log aspect).
    sides = _student(away, max(spread, _MIN_SIZE_SPREAD)) - np.log(side).sum(axis=1)
    aspects = _best([_student(log_aspect, spread) - cost for spread, cost in _ASPECT_SPREADS.items()])
    room = np.maximum(size - side, 0.1 * size) + 2 * (_TOLERANCE * size + _TOLERANCE_PX)
    anywhere = -np.log(room).sum(axis=1)
    if not sizes:
        return np.asarray(sides + aspects + anywhere)
    off = (boxes[:, :2] + boxes[:, 2:]) / 2 / size - 0.5
    centred = (_student(off, _CENTRED_SPREAD) - np.log(size)).sum(axis=1)
    places = _best([np.logaddexp(math.log(1 - c) + anywhere, math.log(c) + centred) for c in _CENTRED_SHARES])
    return np.asarray(sides + aspects + places)


def _best(densities: list[Floats]) -> Floats:
    """Return the densities (n,) with the largest sum."""
    return max(densities, key=lambda density: float(density.sum()))


def _student(away: Floats, spread: float) -> Floats:
    """Compute the log density of Student's t with _FREEDOM degrees of freedom and the given spread."""
    nu = _FREEDOM
    constant = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - math.log(nu * math.pi) / 2 - math.log(spread)
    return np.asarray(constant - (nu + 1) / 2 * np.log1p((away / spread) ** 2 / nu))

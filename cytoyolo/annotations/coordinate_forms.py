"""In which form a table gives its boxes: corners in pixels, or something else that was taken for them. No files.

Corners, x,y,width,height, centre forms, other orders, per cent, fractions and pixels of a resized copy are told apart
by the likelihood of the table under each. The model of a cell's box is wide on purpose: its size is log-normal with
heavy tails, its sides are about as long as each other, it lies in its image, anywhere or near the centre, and one box
in fifty is anything. A form's likelihood counts in the table's own numbers, so that forms of another scale compare.
What is said of a table then rests on how much likelier a form is than corners in pixels, in nats (natural logarithms).
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
# A form is likelier by so many nats, in all and a row, where there is weak or strong evidence for it; and strong
# evidence takes so many rows, of boxes that lie in the upper left as many images. Measured in docs/audit.md.
WEAK, STRONG = (8.0, 0.25), (20.0, 0.5)
MIN_ROWS = 10
# A form explains a table when so many of the boxes lie in their images, by this tolerance (a share of the side, and
# in pixels).
MIN_FITTING = 0.95
_TOLERANCE, _TOLERANCE_PX = 0.02, 1.0
# Rows that are looked at, evenly over the table; and rows without which nothing is said.
_MOST_ROWS, _LEAST_ROWS = 20_000, 2
# The model: share of boxes that are anything, and of corners in the wrong order, as some tools write them; degrees of
# freedom of Student's t; candidates for the spread of log(width / height), each with what it costs a row (cells are
# seldom so unlike a circle), and for the share of boxes near the centre of their image, all chosen by likelihood;
# spread of those, in sides of the image.
_ANYTHING, _INVERTED, _FREEDOM = 0.02, 0.02, 4
_ASPECT_SPREADS, _CENTRED_SHARES, _CENTRED_SPREAD = {0.08: 0.0, 0.15: 0.0, 0.3: 0.1, 0.6: 0.3}, (0.02, 0.5, 0.9), 0.05
# Spread of log(side): as if so many boxes of this spread had been seen before, and at least this.
_SIZE_SPREAD, _SIZE_ROWS, _MIN_SIZE_SPREAD = 0.4, 4, 0.12
# What a form must be likelier by, in nats, because it is rare or was fitted to the table.
_RARE_UNIT, _RARE_ORDER, _SIMPLE_FACTOR, _SQUARE, _ANY_FACTOR = 2.0, 3.0, 6.0, 7.0, 9.0
# By so many nats a row a form must be likelier than a simpler one: pixels of a copy, whose size is fitted to the table;
# and axes that are exchanged, which hardly tells where images are nearly square, or two faults at once.
_COPY, _TWOFOLD = 0.2, 0.5
_FACTORS = (1 / 8, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 4 / 3, 3 / 2, 2, 5 / 2, 3, 4, 5, 6, 8)
_SQUARES = (224, 256, 320, 384, 416, 448, 512, 600, 608, 640, 768, 800, 832, 1000, 1024, 1280, 1600, 2048)
_NEAR = 0.06  # of a logarithm
# Boxes of a smaller copy, which lie in the images themselves as well, are clear where the copy is so much smaller.
_CLEAR_SCALE = 1.5


class Form(NamedTuple):
    """How four numbers give a box: in which layout and unit.

    A number times `by` is a pixel; or, where the form is `relative`, its share of `by` is that of the image's side: by
    is 1 for fractions, 100 for per cent, the side of the copy in pixels for boxes of a square resized copy.
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
        """Nats a row by which it must be likelier than a form that costs nothing."""
        if self.layout == "yxyx" or (self.unit == "resized" and self.layout != "xyxy"):
            return _TWOFOLD
        return _COPY if self.unit == "resized" else 0.0


PIXELS = Form()


class Evidence(NamedTuple):
    """What speaks for a form of a table of `rows` rows that can be judged.

    gain: nats by which the form is likelier than corners in pixels; rival: a form that can't be told from it, or None;
    fitting, fitting_as_corners: shares of boxes that lie in their images under the form and as corners; inverted: rows
    with x2 < x1 or y2 < y1; aspect, aspect_as_corners: the quartiles of width / height; sizes: whether the sizes of the
    images were known; scale: how many times as large the boxes are under the form as they are as corners (median of
    the square root of their areas, NaN without any).
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
        """Whether the form explains the table better than corners in pixels do, if only by a little."""
        return self._gains(WEAK)

    @property
    def strong(self) -> bool:
        """Whether nobody would take the table for corners in pixels.

        Less is needed where corners are in the wrong order and the form has them right: else a repair would exchange
        those of single rows.
        """
        if self.inverted and self.weak:
            return True
        # Boxes that all lie in the upper left may be all that there is in a few images; boxes beyond them can't.
        upper_left = self.form.unit == "resized" and self.fitting_as_corners > 0.5
        # Where all boxes lie in their images as corners too, their cells may just not be in the middle.
        if upper_left and self.fitting_as_corners >= MIN_FITTING and not self.scale >= _CLEAR_SCALE:
            return False
        return (self.images if upper_left else self.rows) >= MIN_ROWS and self._gains(STRONG)

    def _gains(self, least: tuple[float, float]) -> bool:
        # Corners in pixels that are all in order are as likely any other numbers, while nothing is known of the images.
        if not self.sizes and not self.inverted:
            return False
        return self.form != PIXELS and self.gain >= least[0] and self.gain >= least[1] * self.rows


def to_xyxy(values: Boxes, size: Floats, form: Form) -> Boxes:
    """The boxes (n, 4) in pixels that values (n, 4) of a form give in images of `size` (n, 2); corners as they come."""
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
    """Pixels (n, 2) that a number of the form stands for."""
    return size / form.by if form.relative else np.full_like(size, form.by)


def judge(values: Boxes, size: Floats, image: NDArray[np.int64]) -> Evidence | None:
    """The likeliest form of a table's values (n, 4) in images of `size` (n, 2), infinite where it is not known.

    `image` (n,) numbers the images. None where there is too little to judge by. Where sizes are known only their rows
    count. Without any, they are taken from the outermost corners, and only layouts of pixels are compared.
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
    """The likeliest layout of values (n, 4) that are shares of `by`, of images whose shape is not known."""
    size = np.full((len(values), 2), 1000.0)
    found = {form: (size, 0.0 if form.layout == "xyxy" else _RARE_UNIT) for form in _layouts(relative=True, by=by)}
    return _likeliest(values, found, sizes=True)[0].layout


def _chosen(
    values: Boxes, image: NDArray[np.int64], candidates: dict[Form, tuple[Floats, float]], sizes: bool
) -> Evidence:
    form, likelihoods = _likeliest(values, candidates, sizes)
    rivals = [other for other, value in likelihoods.items() if value > likelihoods[form] - WEAK[0] and other != form]
    rivals = [other for other in rivals if (other.layout, other.unit) != (form.layout, form.unit)]
    if not sizes and form.layout in ("xywh", "cxcywh"):  # only the frame of the image would tell
        rivals = [PIXELS._replace(layout="cxcywh" if form.layout == "xywh" else "xywh")]
    boxes, corners = (to_xyxy(values, candidates[one][0], one) for one in (form, PIXELS))
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
    """The likeliest of the candidates (each with sizes of images and its rarity in nats), and all log-likelihoods."""
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
    """Forms a table may have, and how many nats each must be likelier by."""
    for form in _layouts():
        order = _RARE_ORDER if form.layout == "yxyx" else 0.0
        yield form, order
        for by in (1.0, 100.0):
            yield form._replace(relative=True, by=by), order + _RARE_UNIT
        for resized, rarity in _resized(values, size, form):
            yield resized, order + rarity + (0 if form.layout == "xyxy" else _RARE_UNIT)


def _resized(values: Boxes, size: Floats, form: Form) -> Iterator[tuple[Form, float]]:
    """The form of boxes of a resized copy, by where the outermost boxes end and where the middle one lies."""
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
    """A size (n, 2) for all images: where the outermost boxes of the form end, were the images square."""
    ends = to_xyxy(values, np.ones((len(values), 2)), form)[:, 2:]
    return np.full((len(values), 2), max(1.03 * float(np.quantile(ends, 0.995, axis=0).max()), 1.0))


def _fits(boxes: Boxes, size: Floats) -> NDArray[np.bool_]:
    """Whether boxes (n, 4) in pixels have sides and lie in their images."""
    beyond = _TOLERANCE * size + _TOLERANCE_PX
    inside = (boxes[:, :2] >= -beyond).all(axis=1) & (boxes[:, 2:] <= size + beyond).all(axis=1)
    return np.asarray(inside & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))


def _quartiles(boxes: Boxes) -> tuple[float, float]:
    """The quartiles of width / height of the boxes (n, 4) that have both; NaN without any."""
    side = boxes[:, 2:] - boxes[:, :2]
    side = side[(side > 0).all(axis=1)]
    if not len(side):
        return math.nan, math.nan
    low, high = np.quantile(side[:, 0] / side[:, 1], (0.25, 0.75))
    return float(low), float(high)


def _scale_of(boxes: Boxes, corners: Boxes) -> float:
    """How many times as large boxes (n, 4) are as other ones: the median of the square root of the areas' ratio."""
    here, there = area(boxes), area(corners)
    both = (here > 0) & (there > 0)
    return float(np.median(np.sqrt(here[both] / there[both]))) if both.any() else math.nan


def log_likelihood(values: Boxes, size: Floats, form: Form, sizes: bool = True) -> Floats:
    """Log density (n,) of each row of values (n, 4) under a form, in the table's own numbers.

    Where the sizes of images are none that are known (`sizes`), boxes are not expected near the centre.
    """
    boxes = to_xyxy(values, size, form)
    rarity = np.zeros(len(boxes))
    if form.layout in ("xyxy", "yxyx"):
        inverted = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
        boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
        rarity = np.where(inverted, math.log(_INVERTED), 0.0)
    anything = math.log(_ANYTHING) - float(np.log(np.ptp(values, axis=0) * 1.1 + 1e-9).sum())
    found = np.full(len(values), anything)
    fits = _fits(boxes, size)
    if fits.any():
        scale = 2 * np.log(_scale(size[fits], form)).sum(axis=1)
        density = math.log(1 - _ANYTHING) + _box_density(boxes[fits], size[fits], sizes) + scale + rarity[fits]
        found[fits] = np.logaddexp(anything, density)
    return found


def _box_density(boxes: Boxes, size: Floats, sizes: bool) -> Floats:
    """Log density (n,) of boxes (n, 4) that lie in their images, in pixels."""
    side = boxes[:, 2:] - boxes[:, :2]
    log_side, log_aspect = np.log(side).mean(axis=1), np.log(side[:, 0] / side[:, 1])
    away = log_side - np.median(log_side)
    spread = 1.4826 * float(np.median(np.abs(away)))
    spread = math.sqrt((len(side) * spread**2 + _SIZE_ROWS * _SIZE_SPREAD**2) / (len(side) + _SIZE_ROWS))
    # By the sides: d(width) d(height) = width height d(log side) d(log aspect).
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
    """The densities (n,) whose sum is the largest."""
    return max(densities, key=lambda density: float(density.sum()))


def _student(away: Floats, spread: float) -> Floats:
    """Log density of Student's t with _FREEDOM degrees of freedom, scaled."""
    nu = _FREEDOM
    constant = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - math.log(nu * math.pi) / 2 - math.log(spread)
    return np.asarray(constant - (nu + 1) / 2 * np.log1p((away / spread) ** 2 / nu))

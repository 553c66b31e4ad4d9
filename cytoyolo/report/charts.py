"""Draw charts as SVG for a page: text stays text, the page gives the colours, the same data give the same bytes."""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cytoyolo.report.parts import Chart
from cytoyolo.text import one_line, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What is drawn in these colours gets the page's colours, which differ in light and dark. The hues are from Okabe
# and Ito. People with any colour vision tell them apart; lines differ in their dashes and marks too.
_INK, _LINE = "#010203", "#020304"
HUES = {"#0072b2": "blue", "#d55e00": "orange", "#009e73": "green", "#cc79a7": "pink"}
_COLOURS = {_INK: "currentColor"} | {colour: f"var(--{name})" for colour, name in {_LINE: "line", **HUES}.items()}
_DASHES, _MARKS = ("-", "--", "-.", ":"), ("o", "s", "^", "D")
_WIDTH, _HEIGHT = 6.4, 3.0
# What matplotlib writes before the drawing, what a page has no use for, and marks that something may refer to.
_HEAD = re.compile(r"^.*?(?=<svg )", re.DOTALL)
_EXTRA = re.compile(r"\s*(?:<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->)", re.DOTALL)
_ID = re.compile(r' id="([^"]*)"')
_USE = re.compile(r'(?:href="#|url\(#)([^")]*)')


def histogram(values: ArrayLike, caption: str, unit: str, what: str, log: bool = False) -> Chart:
    """Draw how many `what` have which value.

    Parameters
    ----------
    values : array (n,)
        Finite numbers, at least one; larger than 0 if `log`.
    caption, unit, what : str
        The caption, the title of the x axis, and what is counted.
    log : bool
        Whether the x axis is logarithmic.
    """
    data = np.asarray(values, dtype=np.float64)
    low, high = float(data.min()), float(data.max())
    if low == high:
        low, high = low * 0.9, high * 1.1 or 1.0
    edges = np.geomspace(low, high, 41) if log else np.linspace(low, high, 41)
    counts, edges = np.histogram(data, edges)

    def draw(axes: "Axes") -> None:
        axes.stairs(counts, edges, fill=True, color="#0072b2")
        axes.set_ylabel(what)
        axes.set_xlabel(unit)
        if log:
            _plain_log(axes)
        axes.locator_params(axis="y", integer=True)

    middle = np.quantile(data, [0, 0.05, 0.5, 0.95, 1])
    spread = "least {:,.4g}, 5 % are below {:,.4g}, median {:,.4g}, 5 % are above {:,.4g}, most {:,.4g}."
    alt = f"Histogram of {len(data):,} {what}. {unit}: {spread.format(*middle.tolist())}"
    return _chart(draw, caption, alt)


def curves(
    x: ArrayLike,
    lines: Mapping[str, ArrayLike],
    caption: str,
    x_title: str,
    y_title: str,
    *,
    least: float | None = None,
) -> Chart:
    """Draw up to 16 lines over whole numbers such as epochs. `lines` holds the values of each line by its name."""
    steps = np.asarray(x)

    def draw(axes: "Axes") -> None:
        for place, (name, values) in enumerate(lines.items()):
            colour, mark = list(HUES)[place % 4], _MARKS[place % 4] if len(steps) <= 40 else None
            dash = _DASHES[(place + place // 4) % 4]
            axes.plot(steps, np.asarray(values), dash, color=colour, marker=mark, markersize=3.5, label=name)
        axes.set_xlabel(x_title)
        axes.set_ylabel(y_title)
        axes.locator_params(axis="x", integer=True)
        if len(steps) == 1:
            axes.set_xticks(steps)
        if least is not None:
            axes.set_ylim(bottom=least)
        if len(lines) > 1:
            axes.legend(frameon=False)

    ends = [f"{name} from {values[0]:.4g} to {values[-1]:.4g}" for name, values in _arrays(lines) if len(values)]
    alt = f"{y_title} over {len(steps):,} values of {x_title}: {'; '.join(ends)}."
    return _chart(draw, caption, alt)


def reliability(confidence: Sequence[float], accuracy: Sequence[float], counts: Sequence[int], caption: str) -> Chart:
    """Draw the share of right predictions over their confidence; points on the diagonal are honest."""

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], ":", color=_INK, linewidth=1, label="as confident as right")
        axes.plot(confidence, accuracy, "-", color="#0072b2", marker="o", markersize=5, label="these predictions")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="mean confidence", ylabel="share that is right")
        axes.legend(frameon=False, loc="upper left")

    points = [f"{x:.2f}: {y:.2f} of {n:,}" for x, y, n in zip(confidence, accuracy, counts, strict=True)]
    return _chart(draw, caption, f"Share of right predictions by mean confidence. {'; '.join(points)}.", height=4.2)


def differences(
    names: Sequence[str], values: ArrayLike, low: ArrayLike, high: ArrayLike, caption: str, title: str
) -> Chart:
    """Draw a difference with its interval for each name, the first on top. The line at 0 means no difference.

    Parameters
    ----------
    names : sequence of str
        What differs.
    values, low, high : array (n,)
        The differences and the ends of their intervals. A NaN is not drawn.
    caption, title : str
        The caption, and the title of the x axis.
    """
    middle, ends = np.asarray(values, dtype=np.float64), np.array([low, high], dtype=np.float64)

    def draw(axes: "Axes") -> None:
        rows = np.arange(len(names))
        axes.axvline(0, color=_INK, linewidth=1, linestyle=":")
        axes.hlines(rows, ends[0], ends[1], color="#0072b2", linewidth=2)
        axes.plot(middle, rows, "o", color="#0072b2", markersize=6)
        axes.set_yticks(rows, [shortened(name) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(title)

    said = [f"{name} {x:+.3f} ({a:+.3f} to {b:+.3f})" for name, x, a, b in zip(names, middle, *ends, strict=True)]
    return _chart(draw, caption, f"{title}: {'; '.join(said)}.", height=max(1.0 + 0.3 * len(names), 1.6))


def agreement(
    mean: ArrayLike, difference: ArrayLike, bias: float, limits: tuple[float, float], caption: str, unit: str
) -> Chart:
    """Draw differences of two methods over their means, with the bias and the limits of agreement (Bland and Altman).

    Parameters
    ----------
    mean, difference : array (n,)
        Of each sample, the mean of both methods and the second minus the first. At least one is finite.
    bias : float
        The mean difference.
    limits : tuple of (float, float)
        The limits of agreement; NaN if there are none.
    caption, unit : str
        The caption, and the unit of the values.
    """
    x, y = np.asarray(mean, dtype=np.float64), np.asarray(difference, dtype=np.float64)
    known = np.isfinite(x) & np.isfinite(y)

    def draw(axes: "Axes") -> None:
        axes.axhline(0, color=_LINE, linewidth=1)
        axes.plot(x[known], y[known], "o", color="#0072b2", markersize=5, alpha=0.8)
        axes.axhline(bias, color="#d55e00", linewidth=1.6)
        for end in limits:
            axes.axhline(end, color="#d55e00", linewidth=1.4, linestyle="--")
        for end, name in ((bias, "bias"), (limits[0], "limit"), (limits[1], "limit")):
            if np.isfinite(end):
                place = (1.01, end)
                axes.annotate(f"{name} {end:+.1f}", place, xycoords=axes.get_yaxis_transform(), va="center", fontsize=9)
        axes.set_xlabel(f"mean of found and true, {unit}")
        axes.set_ylabel(f"found - true, {unit}")

    ends = f", limits of agreement {limits[0]:+.1f} and {limits[1]:+.1f}" if np.isfinite(limits).all() else ""
    spread = f"from {y[known].min():+.1f} to {y[known].max():+.1f}"
    alt = f"{caption}. {int(known.sum()):,} differences, found - true, in {unit}: {spread}, bias {bias:+.1f}{ends}."
    return _chart(draw, caption, alt)


def _arrays(lines: Mapping[str, ArrayLike]) -> list[tuple[str, np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    return [(name, np.asarray(values, dtype=np.float64)) for name, values in lines.items()]


def _plain_log(axes: "Axes") -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.4g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _chart(draw: Callable[["Axes"], None], caption: str, alt: str, height: float = _HEIGHT) -> Chart:
    """Draw into one pair of axes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": one_line(caption),
        "text.parse_math": False,
        "font.size": 11,
        "font.family": "DejaVu Sans",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": _LINE,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    buffer = io.StringIO()
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about characters that the font for measuring lacks; the browser has others
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(figure.add_subplot())
        for text in figure.findobj(Text):
            text.set_text(one_line(text.get_text()))
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return Chart(_of_page(buffer.getvalue()), caption, alt)


def _of_page(svg: str) -> str:
    """Return the drawing in the page's colours, with marks of its own, so that several drawings fit in one page."""
    text = _EXTRA.sub("", _HEAD.sub("", svg))
    used = set(_USE.findall(text))
    text = _ID.sub(lambda match: match.group() if match.group(1) in used else "", text)
    for colour, name in _COLOURS.items():
        text = text.replace(colour, name)
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)

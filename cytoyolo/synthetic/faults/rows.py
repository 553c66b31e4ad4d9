"""Faults in the values of one row: columns, numbers, classes, corners. The image stays as it is."""

from collections.abc import Callable

import numpy as np

from cytoyolo.synthetic.faults.faulty_image import Fault, FaultyLine, Host, Setting, Values, number, with_box
from cytoyolo.synthetic.faults.registry import Injector, fault
from cytoyolo.tables.dialect import PLAIN
from cytoyolo.tables.table import LABEL_ROLES

# A function of a row's values and the variant. It returns the values that replace them, or None.
Spoil = Callable[[Values, str, np.random.Generator, Setting], Values | None]


def spoilt(host: Host, place: int, text: str, detail: str, truth: str = "", name: str | None = None) -> Fault:
    """Make a fault that replaces the text of one of the image's rows."""
    rows = host.lines()
    rows[host.rows[place]] = [FaultyLine(text, host.name if name is None else name, True, truth)]
    return Fault(detail, rows)


def added(host: Host, place: int, text: str, detail: str, name: str | None = None) -> Fault:
    """Make a fault that adds a line after one of the image's rows."""
    rows = host.lines()
    rows[host.rows[place]].append(FaultyLine(text, host.name if name is None else name, True))
    return Fault(detail, rows)


def row_fault(rule: str, *variants: str, repaired: bool = False) -> Callable[[Spoil], Spoil]:
    """Register a fault that changes the values of a row. With `repaired`, a repair restores the row."""

    def register(spoil: Spoil) -> Spoil:
        def make(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
            place = int(rng.integers(len(host.rows)))
            sound = host.values[place]
            values = spoil(sound, variant, rng, setting)
            if values is None:
                return None
            return spoilt(host, place, PLAIN.join(values), variant or rule, PLAIN.join(sound) if repaired else "")

        injector: Injector = make
        fault(rule, *variants)(injector)
        return spoil

    return register


@fault("broken-row", "too few columns", "too many columns", "open quote")
def broken_row(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    """An added line that is not a row. If it replaced a row, the image could be left without a row."""
    place = int(rng.integers(len(host.rows)))
    text = PLAIN.join(host.values[place])
    broken = {
        "too few columns": text.rpartition(",")[0],
        "too many columns": f"{text},{host.values[place][5]}",
        "open quote": f'"{text}',
    }
    return added(host, place, broken[variant], variant)


@fault("blank", *LABEL_ROLES)
def blank(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    """A row without a coordinate or class, or an added row without a NAME."""
    place, column = int(rng.integers(len(host.rows))), LABEL_ROLES.index(variant)
    values = list(host.values[place])
    values[column] = ("", " ")[int(rng.integers(2))]
    text, detail = PLAIN.join(values), f"no {setting.spec.columns[variant]}"
    return added(host, place, text, detail, values[0]) if column == 0 else spoilt(host, place, text, detail)


@row_fault("number", "n/a", "inf", "nan", "1e9")
def no_number(values: Values, variant: str, rng: np.random.Generator, setting: Setting) -> Values:
    column = int(rng.integers(1, 5))
    return (*values[:column], variant, *values[column + 1 :])


@row_fault("class-variant", "other case", "space before", "space after", repaired=True)
def class_variant(values: Values, variant: str, rng: np.random.Generator, setting: Setting) -> Values | None:
    code, codes = values[5], setting.spec.codes
    if [known.casefold() for known in codes].count(code.casefold()) > 1:
        return None
    cases = [text for text in (code.lower(), code.upper(), code.swapcase()) if text not in codes]
    written = {"space before": f" {code}", "space after": f"{code} ", "other case": cases[0] if cases else ""}
    return (*values[:5], written[variant]) if written[variant] else None


@row_fault("unknown-class", "Artefact", "?", "unknown", "42")
def unknown_class(values: Values, variant: str, rng: np.random.Generator, setting: Setting) -> Values | None:
    known = variant.casefold() in [code.casefold() for code in setting.spec.codes]
    return None if known else (*values[:5], variant)


@row_fault("inverted", "x", "y", "x and y", repaired=True)
def inverted(values: Values, variant: str, rng: np.random.Generator, setting: Setting) -> Values:
    name, x1, y1, x2, y2, code = values
    if "x" in variant:
        x1, x2 = x2, x1
    if "y" in variant:
        y1, y2 = y2, y1
    return name, x1, y1, x2, y2, code


@row_fault("fractional", "quarters", "long fractions")
def fractional(values: Values, variant: str, rng: np.random.Generator, setting: Setting) -> Values:
    inwards = np.array([1, 1, -1, -1])
    part = rng.integers(1, 4, 4) / 4 if variant == "quarters" else rng.uniform(0.01, 0.99, 4)
    return with_box(values, np.array(values[1:5], dtype=np.float64) + inwards * part)


@row_fault("zero-side", "width", "height", "width and height")
def zero_side(values: Values, variant: str, rng: np.random.Generator, setting: Setting) -> Values:
    return _shrunk(values, variant, 0)


@row_fault("tiny-side", "width", "height", "width and height")
def tiny_side(values: Values, variant: str, rng: np.random.Generator, setting: Setting) -> Values:
    return _shrunk(values, variant, int(rng.integers(2, 8)))


def _shrunk(values: Values, sides: str, pixels: int) -> Values:
    """Shrink sides of a box to some pixels, around its middle."""
    name, *texts, code = values
    box = [int(text) for text in texts]
    for axis, side in enumerate(("width", "height")):
        if side in sides:
            start = (box[axis] + box[axis + 2] - pixels) // 2
            box[axis], box[axis + 2] = start, start + pixels
    return (name, *map(number, box), code)

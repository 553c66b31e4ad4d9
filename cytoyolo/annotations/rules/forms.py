"""Rules that find out whether the table's boxes are corners in pixels, or have another form."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from cytoyolo.annotations.coordinate_forms import MIN_ROWS, PIXELS, Evidence, Form, are_fractions, judge, judge_layout
from cytoyolo.annotations.rules.registry import ERROR, REVIEW, STOP, WARNING, Findings, Threshold, by_table, rule
from cytoyolo.annotations.table import LabelTable, Rows
from cytoyolo.errors import listed

_LAYOUTS = {
    "xyxy": "x1,y1,x2,y2",
    "xywh": "x,y,width,height",
    "cxcywh": "centre x,centre y,width,height",
    "xxyy": "x1,x2,y1,y2",
    "yxyx": "y1,x1,y2,x2",
}
_TO_CORNERS = {
    "xyxy": "",
    "xywh": "make x2 = x1 + width and y2 = y1 + height",
    "cxcywh": "make x1 = centre x - width / 2, x2 = centre x + width / 2, y1 = centre y - height / 2 and "
    "y2 = centre y + height / 2",
    "xxyy": "exchange the second number with the third",
    "yxyx": "exchange x1 with y1 and x2 with y2",
}
# The least number of rows in a part of a table that is judged by itself, and the largest number of blocks of lines.
_PART, _BLOCKS = 20, 8
# Without images, numbers up to this may be per cent if most of them are not whole numbers.
_PER_CENT = 100.5
# If at least this share of the boxes has y2 < y1 and x in order, it is not by mistake.
_NEARLY_ALL = 0.9


def _name(form: Form) -> str:
    """Describe the form, for example "x,y,width,height in per cent of the image"."""
    unit = {"pixels": "pixels", "normalised": "fractions of the image (0 to 1)", "per cent": "per cent of the image"}
    return f"{_LAYOUTS[form.layout]} in {unit.get(form.unit, _copy(form))}"


def _copy(form: Form) -> str:
    if form.relative:
        return f"pixels of a copy of {form.by:g}x{form.by:g} px"
    return f"pixels of a copy {1 / form.by:.3g} times as large"


def _remedy(form: Form) -> str:
    """Say how to convert boxes of the form to corners in pixels."""
    steps = []
    if form.unit == "normalised":
        steps.append("multiply x by the width of the image and y by its height")
    elif form.relative:
        steps.append(f"divide by {form.by:g}, then multiply x by the width of the image and y by its height")
    elif form.by != 1:
        steps.append(f"multiply all by {form.by:.4g}")
    return ", then ".join(step for step in (*steps, _TO_CORNERS[form.layout]) if step)


def _said(form: Form, seen: str = "", rival: Form | None = None) -> str:
    if rival is None:
        doubt = ""
    elif rival.unit == form.unit and {rival.layout, form.layout} == {"xyxy", "yxyx"}:
        doubt = "; these boxes don't tell whether x or y comes first"
    else:
        doubt = f"; {_name(rival)} can't be ruled out, so look at some boxes after that"
    return f"the boxes look like {_name(form)}{seen}; {_remedy(form)}{doubt}"


def _evident(found: Evidence) -> dict[str, str]:
    """Return the value and the detail of the finding that a table has another form, with the figures that show it."""
    read, taken = _shape(found.aspect), _shape(found.aspect_as_corners)
    if found.sizes:
        inside, before = (round(share * found.rows) for share in (found.fitting, found.fitting_as_corners))
        seen = f": so read, {inside:,} lie in their images and {read}"
        seen += f"; read as corners in pixels, {before:,} do and {taken}"
    else:
        seen = f": so read, {read}; read as corners in pixels, {taken}"
    if found.inverted:
        seen += f", and {found.inverted:,} have x2 < x1 or y2 < y1"
    return {f"{found.rows:,} rows": _said(found.form, seen, found.rival)}


def _shape(aspect: tuple[float, float]) -> str:
    low, high = aspect
    return "none has an area" if math.isnan(low) else f"half are {low:.2f} to {high:.2f} times as wide as high"


def _strong(table: LabelTable, unit: str, *layouts: str) -> Iterator[Findings]:
    """Yield the finding of the table's form if it surely has this unit and one of these layouts (default: any)."""
    found = table.form
    wanted = found is not None and found.form.unit == unit and (not layouts or found.form.layout in layouts)
    if found is not None and wanted and found.strong:
        yield from by_table(_evident(found))


@rule(
    "normalised",
    ERROR,
    STOP,
    after="mixed-forms",
    about="table",
    sized=True,
    training="refuses",
    share=Threshold(0.5, most=1),
)
def normalised(table: LabelTable, share: float) -> Iterator[Findings]:
    """The boxes are fractions of the image's size. More than the share `share` of the rows have all coordinates between
    0 and 1, or the boxes fit their images only in this form."""
    rows = table.where(np.isfinite(table.xyxy).all(axis=1))
    values = table.xyxy[rows]
    small = are_fractions(values)
    if not len(rows) or small.mean() <= share:
        yield from _strong(table, "normalised")
    else:
        found = table.form
        known = found is not None and found.sizes and found.form.unit == "normalised"
        if found is not None and known:
            form, rival = found.form, found.rival
        else:
            form, rival = Form(judge_layout(values[small], 1.0), relative=True, by=1.0), None
        yield from by_table({f"{small.sum():,} of {len(rows):,} rows": _said(form, rival=rival)})


@rule("per-cent", ERROR, STOP, after="normalised", about="table", needs="images", training="refuses")
def per_cent(table: LabelTable) -> Iterator[Findings]:
    """The boxes are per cent of the image's size (0 to 100). Read as pixels, all boxes would lie in the upper left of
    their images."""
    yield from _strong(table, "per cent")


@rule(
    "xywh",
    ERROR,
    STOP,
    after="per-cent",
    about="table",
    sized=True,
    training="refuses",
    share=Threshold(0.1, most=1),
    rows=10,
)
def xywh(table: LabelTable, share: float, rows: float) -> Iterator[Findings]:
    """x2 and y2 are width and height. Read in this form, nearly all boxes lie in their images and are about as wide as
    high; read as corners, they do not. Without images it is enough that x2 < x1 or y2 < y1 in at least `rows` rows and
    in more than the share `share` of the rows."""
    found = table.form
    if found is None:
        return
    if found.strong or found.sizes:
        yield from _strong(table, "pixels", "xywh")
    elif found.inverted >= rows and found.inverted > share * found.rows:
        detail = _said(PIXELS._replace(layout="xywh"), rival=PIXELS._replace(layout="cxcywh"))
        yield from by_table({f"{found.inverted:,} of {found.rows:,} rows have x2 < x1 or y2 < y1": detail})


@rule("centre", ERROR, STOP, after="xywh", about="table", sized=True, training="refuses")
def centre(table: LabelTable) -> Iterator[Findings]:
    """The numbers are the x and y of the box's centre, its width and its height, in pixels."""
    yield from _strong(table, "pixels", "cxcywh")


@rule("interleaved", ERROR, STOP, after="centre", about="table", sized=True, training="refuses")
def interleaved(table: LabelTable) -> Iterator[Findings]:
    """The numbers are x1,x2,y1,y2: the second and the third are exchanged."""
    yield from _strong(table, "pixels", "xxyy")


@rule("resized", ERROR, STOP, after="interleaved", about="table", needs="images", training="refuses")
def resized(table: LabelTable) -> Iterator[Findings]:
    """The boxes were drawn on a smaller or larger copy of the images: they all lie in the upper left of the images, or
    they reach outside as if all were enlarged alike."""
    yield from _strong(table, "resized")


@rule("mixed-forms", ERROR, STOP, after="boxes-unturned", about="table", needs="images", training="refuses")
def mixed_forms(table: LabelTable) -> Iterator[Findings]:
    """A part of the table has another form than the rest. The part is a class, a run of lines, the images of one folder
    or of one size, the images whose names have the same beginning or extension, or the boxes whose corners are in the
    wrong order."""
    whole = table.form
    if whole is None or (whole.strong and not whole.form.cost):
        return
    rows = table.where(np.isfinite(table.xyxy).all(axis=1) & np.isfinite(table.size).all(axis=1))
    best: dict[str, Evidence] = {}
    for parts in _partitions(table, rows):
        judged = {name: judge(table.xyxy[part], table.size[part], table.image[part]) for name, part in parts.items()}
        found = {name: evidence for name, evidence in judged.items() if evidence is not None}
        odd = {name: evidence for name, evidence in found.items() if evidence.strong}
        # The whole table may look like boxes of a resized copy only because a part has another form.
        one_form = whole.strong and all(evidence.form != PIXELS for evidence in found.values())
        if not one_form and _gain(odd) > _gain(best):
            best = odd
    if best:
        count = sum(evidence.rows for evidence in best.values())
        details = [f"{name}: {detail}" for name, evidence in best.items() for detail in _evident(evidence).values()]
        value = f"{count:,} of {len(rows):,} rows"
        yield from by_table({value: f"a part of the table is of another form than the rest ({listed(details, 2)})"})


def _gain(parts: Mapping[str, Evidence]) -> float:
    """Add up how much likelier parts of a table are in their own forms, in nats."""
    return sum(evidence.gain for evidence in parts.values())


def _partitions(table: LabelTable, rows: Rows) -> Iterator[dict[str, Rows]]:
    """Yield several ways to divide the rows into parts that may have their own form, without parts of few rows."""
    names = [str(name) for name in table.text["image"][rows]]
    blocks = [block for block in np.array_split(rows, min(_BLOCKS, max(len(rows) // _PART, 1))) if len(block)]
    inverted = (table.xyxy[rows][:, 2:] < table.xyxy[rows][:, :2]).any(axis=1)
    for kind, keys in {
        "class {}": list(table.text["class"][rows]),
        "lines {}": [f"{block[0] + 2:,} to {block[-1] + 2:,}" for block in blocks for _ in block],
        "images of {} px": [f"{width:.0f}x{height:.0f}" for width, height in table.size[rows]],
        "images named {}*": [re.split(r"[^A-Za-z]", name)[0] for name in names],
        "images named *{}": [PurePosixPath(name).suffix for name in names],
        "images in {}": [str(PurePosixPath(name).parent) for name in names],
        "boxes with {}": np.where(inverted, "x2 < x1 or y2 < y1", "corners in order").tolist(),
    }.items():
        parts = pd.Series(rows).groupby(pd.Series(keys, dtype=object), sort=False).groups
        yield {kind.format(key): rows[at] for key, at in parts.items() if _PART <= len(at) < len(rows)}


def _from_below(table: LabelTable) -> Iterator[Findings]:
    """Yield the finding that y may be counted from the bottom. A repair that puts corners in order would hide this."""
    rows = table.where(np.isfinite(table.xyxy).all(axis=1))
    turned = table.xyxy[rows][:, 2:] < table.xyxy[rows][:, :2]
    above = turned[:, 1] & ~turned[:, 0]
    if len(rows) >= MIN_ROWS and above.mean() >= _NEARLY_ALL:
        value = f"{above.sum():,} of {len(rows):,} rows"
        detail = "y2 < y1 and x in order; if y is counted from the bottom, make it the height minus y"
        yield from by_table({value: detail})


@rule("unsure-form", WARNING, REVIEW, after="resized", about="table", sized=True)
def unsure_form(table: LabelTable) -> Iterator[Findings]:
    """The boxes are likelier in another form than corners in pixels, but there are too few boxes or the evidence is too
    weak to be sure. Or nearly all rows have y2 < y1 and x1 <= x2, as if y were counted from the bottom of the image."""
    yield from _from_below(table)
    found = table.form
    if found is None:
        return
    if found.weak and not found.strong:
        yield from by_table(_evident(found))
    elif not found.sizes and not found.strong:
        rows = table.where(np.isfinite(table.xyxy).all(axis=1))
        values = table.xyxy[rows]
        broken = (values != np.rint(values)).mean()
        if 1 < values.max() <= _PER_CENT and values.min() >= 0 and broken > 0.5:
            form = Form(judge_layout(values, 100.0), relative=True, by=100.0)
            yield from by_table({f"all numbers are at most {values.max():g}": f"{_said(form)}; the images would tell"})

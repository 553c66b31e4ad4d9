"""In which form a table gives its boxes: every form of made and real tables is named, right tables are left alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from cytoyolo.annotations.coordinate_forms import LAYOUTS, PIXELS, Evidence, Form, judge, judge_layout, to_xyxy

Floats = NDArray[np.float64]
UNITS = [(False, 1.0), (True, 100.0), (True, 1.0), (False, 2.0), (False, 0.5), (True, 640.0)]
FORMS = [Form(layout) for layout in LAYOUTS[1:4]] + [Form("xyxy", *unit) for unit in UNITS[1:]]
FORMS += [Form(layout, *unit) for layout in ("xywh", "cxcywh") for unit in UNITS[1:3]]


def centred(n: int, seed: int) -> tuple[Floats, Floats]:
    """Corners of one cell near the centre of each of n images, and the images' sizes."""
    rng = np.random.default_rng(seed)
    size = np.stack([rng.integers(340, 380, n), rng.integers(340, 380, n)], axis=1).astype(float)
    side = 150 * np.exp(rng.normal(0, 0.2, (n, 1)) + rng.normal(0, 0.06, (n, 2)))
    return np.rint(_around(size * (0.5 + rng.normal(0, 0.03, (n, 2))), side)), size


def anywhere(n: int, seed: int) -> tuple[Floats, Floats]:
    """Corners of cells anywhere in fields of two sizes."""
    rng = np.random.default_rng(seed)
    size = np.array([(640.0, 480.0), (575.0, 575.0)])[rng.integers(0, 2, n)]
    side = 60 * np.exp(rng.normal(0, 0.3, (n, 1)) + rng.normal(0, 0.1, (n, 2)))
    return np.rint(_around(side / 2 + rng.random((n, 2)) * (size - side), side)), size


def _around(centre: Floats, side: Floats) -> Floats:
    return np.concatenate([centre - side / 2, centre + side / 2], axis=1)


def in_form(xyxy: Floats, size: Floats, form: Form) -> Floats:
    """Corners in pixels written in another form, as tables hold them; the inverse of `to_xyxy`."""
    xyxy = xyxy / np.tile(size / form.by if form.relative else np.full_like(size, form.by), 2)
    x1, y1, x2, y2 = xyxy.T
    columns = {
        "xyxy": (x1, y1, x2, y2),
        "xywh": (x1, y1, x2 - x1, y2 - y1),
        "cxcywh": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
        "xxyy": (x1, x2, y1, y2),
        "yxyx": (y1, x1, y2, x2),
    }
    return np.round(np.stack(columns[form.layout], axis=1), 6 if form.by == 1 and form.relative else 2)


def judged(values: Floats, size: Floats) -> Evidence:
    found = judge(values, size, np.arange(len(values)))
    assert found is not None
    return found


@pytest.mark.parametrize("form", [PIXELS, *FORMS, Form("yxyx", True, 100.0)])
def test_to_xyxy_takes_a_form_back(form: Form) -> None:
    xyxy, size = anywhere(50, 1)
    assert np.allclose(to_xyxy(in_form(xyxy, size, form), size, form), xyxy, atol=0.1)


@pytest.mark.parametrize("cells", [centred, anywhere])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_named(form: Form, cells: type(centred)) -> None:  # type: ignore[valid-type]
    xyxy, size = cells(60, 2)  # type: ignore[misc]
    found = judged(in_form(xyxy, size, form), size)
    assert found.strong and (found.form.layout, found.form.unit) == (form.layout, form.unit)
    if form.unit == "resized":
        xyxy_again = to_xyxy(in_form(xyxy, size, form), size, found.form)
        assert np.allclose(xyxy_again, xyxy, atol=0.12 * size.max())


@pytest.mark.parametrize("cells", [centred, anywhere])
@pytest.mark.parametrize("n", [2, 5, 10, 30, 300])
def test_right_tables_are_left_alone(n: int, cells: type(centred)) -> None:  # type: ignore[valid-type]
    for seed in range(10):
        xyxy, size = cells(n, seed)  # type: ignore[misc]
        assert not judged(xyxy, size).weak
        assert not judged(xyxy, np.full_like(size, np.inf)).weak
        swapped = np.where(np.arange(n)[:, None] % 5 == 0, xyxy[:, [2, 3, 0, 1]], xyxy)
        assert not judged(swapped, size).weak, "a few corners in the wrong order are only that"


@pytest.mark.parametrize("place", [(0.4, 0.6), (0.65, 0.65), (0.5, 0.7), (0.75, 0.4)])
def test_cells_beside_the_middle_are_no_copy_of_another_size(place: tuple[float, float]) -> None:
    rng = np.random.default_rng(5)
    size = np.full((60, 2), 360.0)
    side = 90 * np.exp(rng.normal(0, 0.2, (60, 1)))
    found = judged(np.rint(_around(size * (np.array(place) + rng.normal(0, 0.03, (60, 2))), side)), size)
    assert not found.strong


def test_without_images_only_inverted_corners_tell() -> None:
    xyxy, size = centred(200, 3)
    unknown = np.full_like(size, np.inf)
    found = judged(in_form(xyxy, size, Form("xywh")), unknown)
    assert found.strong and {found.form.layout, found.rival and found.rival.layout} == {"xywh", "cxcywh"}
    some = in_form(xyxy, size, Form("xywh"))
    assert not judged(some[(some[:, 2:] > some[:, :2]).all(axis=1)], unknown).weak
    assert judge_layout(in_form(xyxy, size, Form("cxcywh", True, 1.0)), 1.0) == "cxcywh"
    assert judge_layout(in_form(xyxy, size, Form("xyxy", True, 100.0)), 100.0) == "xyxy"


def test_too_little_to_judge_by() -> None:
    xyxy, size = centred(3, 4)
    assert judge(xyxy[:1], size[:1], np.zeros(1, np.int64)) is None
    assert judge(np.full((9, 4), np.nan), np.full((9, 2), 100.0), np.arange(9)) is None
    assert judge(xyxy[:0], size[:0], np.zeros(0, np.int64)) is None


@pytest.mark.parametrize("name", ["wbc5", "pbc3", "pbc9"])
def test_real_tables(name: str, shared: Path) -> None:
    table = pd.read_csv(shared / name / "train.csv")
    sizes = {path.name: Image.open(path).size for path in (shared / name / "images").iterdir()}
    size = np.array([sizes[image] for image in table["NAME"]], float)
    xyxy, image = table[["x1", "y1", "x2", "y2"]].to_numpy(float), pd.factorize(table["NAME"])[0].astype(np.int64)
    parts = [np.flatnonzero(table["class"] == code) for code in table["class"].unique()]
    parts += [np.arange(start, start + 30) for start in range(0, 600, 30)] + [np.arange(len(table))]
    for rows in parts:
        right = judge(xyxy[rows], size[rows], image[rows])
        assert right is not None and not right.weak
        for form in FORMS[:4]:
            found = judge(in_form(xyxy[rows], size[rows], form), size[rows], image[rows])
            assert found is not None and found.strong and (len(rows) < 100 or found.form.unit == form.unit)
            named = found.form.layout == form.layout or (found.rival is not None and found.rival.layout == form.layout)
            assert named or len(rows) < 100

"""The page of `predict`: which cells it shows, what it says, and that memory does not grow with the images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cytoyolo.commands.differential_slides import SlideCounter, slides_of
from cytoyolo.commands.predict_page import CellChoice, write_prediction_page
from cytoyolo.detector.table import DetectionTable
from cytoyolo.images.samples import UNKNOWN
from cytoyolo.scoring.slide_differential import CountingFacts
from cytoyolo.spec import parse_spec
from tests.browser import assert_sound
from tests.pictures import photo, save

SCRIPT = "<script>alert(1)</script>"
SPEC = parse_spec(
    {
        "name": "a",
        "fallback": "LY",
        "classes": [
            "LY", {"code": "B", "name": "blast", "leukocyte": True, "flag": "blast"},
            {"code": "RBC", "name": SCRIPT, "leukocyte": False},
        ],
    }
)  # fmt: skip


def table(images: int, seed: int = 0, cells: int = 3) -> DetectionTable:
    """Random cells of images 0.png, 1.png and so on. Their scores are calibrated, and uncertain below 0.5."""
    random = np.random.default_rng(seed)
    count = images * cells
    scores = random.dirichlet(np.ones(3), count)
    corner = random.integers(0, 100, (count, 2)).astype(float)
    return DetectionTable(
        np.repeat(np.array([f"s{n % 2}/{n}.png" for n in range(images)], object), cells),
        np.concatenate([corner, corner + random.integers(20, 60, (count, 2))], axis=1),
        scores.argmax(axis=1), 1 - scores.max(axis=1) / 2, scores, SPEC.codes, uncertain_below=0.5,
    )  # fmt: skip


def parts(whole: DetectionTable, size: int) -> list[DetectionTable]:
    rows = np.arange(len(whole))
    return [whole.take(rows // size == number) for number in range(-(-len(whole) // size))]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_chosen_cells_are_those_of_a_sorted_table(size: int) -> None:
    whole = table(60)
    choice = CellChoice(())
    for part in parts(whole, size):
        choice.add(part)
    chosen = choice.by_class(SPEC.codes)
    for index, code in enumerate(SPEC.codes):
        ranked = np.sort(whole.confidence[whole.class_id == index])
        assert [cell.sure for cell in chosen[code, "most certain"]] == ranked[::-1][:12].tolist()
        assert [cell.sure for cell in chosen[code, "least certain"]] == ranked[:12].tolist()
    probability = whole.probabilities.max(axis=1)
    below = np.sort(probability[probability < 0.5])
    assert [cell.sure for cell in choice.uncertain] == below[:48].tolist()


def test_no_cell_is_shown_twice_and_cells_of_slides_are_not() -> None:
    choice = CellChoice(["s1/1.png"])
    choice.add(table(4))
    chosen = choice.by_class(SPEC.codes)
    cells = [(cell.image, tuple(cell.box)) for several in chosen.values() for cell in several]
    assert len(cells) == len(set(cells)) == 9 and not [cell for cell in cells if cell[0] == "s1/1.png"]


def test_500_classes_share_the_room() -> None:
    codes = tuple(f"C{number}" for number in range(500))
    count = 5000
    choice = CellChoice(())
    choice.add(
        DetectionTable(
            np.array([f"{n}.png" for n in range(count)], object), np.tile([1.0, 1, 9, 9], (count, 1)),
            np.arange(count) % 500, np.linspace(0.1, 0.9, count), np.full((count, 500), 0.001), codes,
        )
    )  # fmt: skip
    assert sum(map(len, choice.by_class(codes).values())) <= 1000


def page(folder: Path, images: int, found: DetectionTable, failures: dict[str, str] | None = None) -> str:
    source = folder / "images"
    for name in dict.fromkeys(found.image):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(save(photo(200, 160, seed=len(name)), "PNG"))
    names = [f"s{n % 2}/{n}.png" for n in range(images)]
    counter = SlideCounter(slides_of(None, SPEC, names), SPEC, True)
    counter.add(names, found)
    facts = CountingFacts("best.pt", ("ab" * 32,), 0.25, "2026-01-02", 200, 0.5)
    choice = CellChoice(())
    choice.add(found)
    (folder / "out").mkdir(exist_ok=True)
    made = counter.differential(facts, found.codes)
    write_prediction_page(folder / "out", made, choice, source, UNKNOWN, failures or {}, {"s0/0.png": "has many boxes"})
    return (folder / "out" / "report.html").read_text(encoding="utf-8")


def test_the_page_is_sound_and_a_class_is_no_script(tmp_path: Path, browser: Any) -> None:
    html = page(tmp_path, 6, table(6), {f"bad{SCRIPT}.png": "is damaged"})
    assert SCRIPT not in html and "bad&lt;script&gt;alert(1)&lt;/script&gt;.png" in html
    assert_sound(browser, tmp_path / "out" / "report.html")


def test_it_says_what_was_counted_and_how(tmp_path: Path) -> None:
    html = page(tmp_path, 6, table(6), {"bad.png": "is damaged"})
    for words in (
        "18 cells in 6 images", "1 image could not be read.",
        "model best.pt (abababab); confidence from 0.25; 2026-01-02",
        "blast: look", "is damaged", "has many boxes", "too few", "Uncertain cells", "most certain",
    ):  # fmt: skip
        assert words in html
    assert html == page(tmp_path, 6, table(6), {"bad.png": "is damaged"})


def test_no_detection_at_all(tmp_path: Path, browser: Any) -> None:
    html = page(tmp_path, 2, table(2).take(np.zeros(6, dtype=bool)))
    assert "0 cells in 2 images" in html and "Cells by class" not in html
    assert_sound(browser, tmp_path / "out" / "report.html")


def test_an_image_gone_since_is_said(tmp_path: Path) -> None:
    found = table(2)
    page(tmp_path, 2, found)
    (tmp_path / "images" / "s1" / "1.png").unlink()
    counter = SlideCounter(slides_of(None, SPEC, ["s0/0.png", "s1/1.png"]), SPEC, None)
    counter.add(["s0/0.png", "s1/1.png"], found)
    choice = CellChoice(())
    choice.add(found)
    made = counter.differential(CountingFacts("", (), 0.25, "2026-01-02", 200, 0.5), found.codes)
    write_prediction_page(tmp_path / "out", made, choice, tmp_path / "images", UNKNOWN, {}, {})
    html = (tmp_path / "out" / "report.html").read_text()
    assert "s1/1.png: is missing" in html and "<img" in html


def test_predict_writes_it(small_run: Path, blobs: Path, tmp_path: Path, cytoyolo: Any) -> None:
    weights = small_run / "weights" / "best.pt"
    call = ("predict", weights, blobs / "images", "-o", tmp_path / "out", "--device", "cpu", "--conf", 0.001)
    done = cytoyolo(*call)
    assert done.returncode == 0, done.stderr
    assert f"Open in a browser: {tmp_path / 'out' / 'report.html'}" in done.stderr
    assert "<img" in (tmp_path / "out" / "report.html").read_text()
    assert cytoyolo(*call, "--no-report", "--overwrite").returncode == 0
    assert not (tmp_path / "out" / "report.html").exists()

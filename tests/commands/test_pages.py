"""What all pages have in common: names are shown and never run, images may be gone, a full disk leaves nothing."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import cytoyolo
from cytoyolo.errors import UsageError
from tests.browser import opened
from tests.pictures import photo, save

NAMES = [
    "<script>alert(1)<_script>.png", "\"'><img src=x onerror=alert(1)>.png", f"{'x' * 190}.png", "לימפוציט גדול.png",
    "a & b;'quo\"te.png",
]  # fmt: skip
CODES = ["<script>alert(2)</script>", "y" * 200, "לימפוציט", "'\"&<b>", "LY"]
COLUMNS = ["NAME", "x1", "y1", "x2", "y2", "class"]
Make = Callable[..., object]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, classes and groups with odd names; each group has one image. Two results, and a table with faults."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "images").mkdir()
    rows = []
    for number, name in enumerate(NAMES):
        (folder / "images" / name).write_bytes(save(photo(300, 240, seed=number), "PNG"))
        boxes = [(20 + 70 * at, 20 + 40 * at, 80 + 70 * at, 80 + 40 * at) for at in range(4)]
        rows += [(name, *box, CODES[(number + at) % 5]) for at, box in enumerate(boxes)]
    truth = pd.DataFrame(rows, columns=COLUMNS)
    truth.to_csv(folder / "labels.csv", index=False)
    truth.assign(trustii_id=range(len(truth))).to_csv(folder / "truth.csv", index=False)
    found = truth.assign(confidence=np.linspace(0.3, 0.9, len(truth)), second_class="LY", margin=0.1)
    for name, step, code in (("a", 3, CODES[0]), ("b", 4, CODES[1])):
        answer = found.copy()
        answer.loc[::step, "class"] = code
        answer.to_csv(folder / f"{name}.csv", index=False)
        answer[COLUMNS].assign(trustii_id=range(len(truth))).to_csv(folder / f"rows_{name}.csv", index=False)
    faults = [truth, truth.head(2), truth.tail(2).assign(x2=5000), truth.head(2).assign(**{"class": "<b>no</b>"})]
    pd.concat(faults).to_csv(folder / "faulty.csv", index=False)
    groups = pd.DataFrame({"NAME": NAMES, "group": [f"<script>alert(3)</script> {name[:150]}" for name in NAMES]})
    groups.to_csv(folder / "groups.csv", index=False)
    spec = {"name": "<script>alert(4)</script>", "fallback": "LY", "classes": CODES}
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True), encoding="utf-8")
    return folder


def calls(lab: Path) -> dict[str, tuple[str, tuple[object, ...], dict[str, Any]]]:
    """By what it makes, a command, its inputs, and its options beside those that all have."""
    groups, few = {"groups": lab / "groups.csv"}, {"replicates": 20}
    truth, labels, a, b = (lab / f"{name}.csv" for name in ("truth", "labels", "a", "b"))
    return {
        "audit": ("audit", (lab / "faulty.csv",), {}),
        "score": ("score", (truth, lab / "rows_a.csv"), few),
        "evaluate": ("evaluate", (labels, a), groups | few),
        "compare": ("compare", (truth, lab / "rows_a.csv", lab / "rows_b.csv"), groups | few),
        "agreement": ("compare", (None, a, b), few),
        "ranking": ("compare", (labels, a, b, a), groups | few),
        "differential": ("differential", (a,), groups | {"truth": labels}),
    }


def made(lab: Path, what: str, output: Path, **options: Any) -> str:
    command, inputs, own = calls(lab)[what]
    given = {"images": lab / "images"} if command != "differential" else {}
    getattr(cytoyolo, command)(*inputs, output=output, **given | {"dataset": lab / "spec.yaml"} | own | options)
    return (output / "report.html").read_text(encoding="utf-8") if options.get("report", True) else ""


PAGES = list(calls(Path()))
# With pictures of the folder `images`, which may be left out.
OF_CELLS = ["score", "evaluate", "compare", "agreement", "ranking"]


@pytest.mark.parametrize("what", PAGES)
def test_names_are_shown_and_never_run(what: str, lab: Path, tmp_path: Path, browser: Any) -> None:
    made(lab, what, tmp_path / "out")
    for path in (tmp_path / "out").rglob("report.html"):
        html = path.read_text(encoding="utf-8")
        assert "<script" not in html and "<img src=x" not in html and "<b>" not in html
        with opened(browser, path, 390) as page:
            page.tab.on("dialog", lambda dialog: pytest.fail("a script ran"))
            page.tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.pictures_loaded() and not page.is_too_wide() and not page.complaints


@pytest.mark.slow
@pytest.mark.parametrize("what", PAGES)
def test_the_same_input_gives_the_same_page_and_machines_need_none(what: str, lab: Path, tmp_path: Path) -> None:
    assert made(lab, what, tmp_path / "a") == made(lab, what, tmp_path / "b")
    without = {"images": None} if what in OF_CELLS else {}
    made(lab, what, tmp_path / "c", report=False, **without)
    assert not list((tmp_path / "c").rglob("report.html")) and list((tmp_path / "c").iterdir())


@pytest.mark.parametrize("what", OF_CELLS)
def test_images_that_are_gone_are_said(what: str, lab: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / NAMES[0]).write_bytes((lab / "images" / NAMES[0]).read_bytes())
    made(lab, what, tmp_path / "out", images=tmp_path / "images")
    pages = [path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("report.html")]
    assert any(f"{NAMES[3]}: is missing" in html and "<img" in html for html in pages)


@pytest.mark.parametrize("what", OF_CELLS)
def test_without_images_there_are_figures(what: str, lab: Path, tmp_path: Path) -> None:
    html = made(lab, what, tmp_path / "out", images=None)
    assert "<img" not in html and "<table" in html
    assert what == "ranking" or "Without the image folder there are no pictures" in html


@pytest.mark.parametrize("options", [{"output": None}, {"report": False}])
@pytest.mark.parametrize("what", OF_CELLS)
def test_images_without_a_page_are_refused(what: str, options: dict[str, Any], lab: Path, tmp_path: Path) -> None:
    command, inputs, _ = calls(lab)[what]
    given = {"output": tmp_path / "out", "images": lab / "images", "dataset": lab / "spec.yaml"} | options
    with pytest.raises(UsageError, match="no page is made"):
        getattr(cytoyolo, command)(*inputs, **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["audit", "score", "compare"])
def test_a_page_that_the_disk_does_not_take_leaves_nothing(what: str, lab: Path, tmp_path: Path) -> None:
    """A file may have 30 kB here, and a page is larger."""
    command, inputs, _ = calls(lab)[what]
    paths = [str(path) for path in inputs]
    program = [str(Path(sys.executable).with_name("cytoyolo")), command, *paths, "-o", str(tmp_path / "out")]
    options = ["--images", str(lab / "images"), "--dataset", str(lab / "spec.yaml")]
    # Otherwise Python would leave cut files of compiled code beside the modules, and fail by them ever after.
    home = {"CYTOYOLO_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 30 && exec "$@"', "bash", *program, *options],
        capture_output=True, text=True, check=False, env=home,
    )  # fmt: skip
    said = done.stderr.strip().splitlines()
    assert done.returncode == 1 and said[-1].startswith("cytoyolo: file too large; check the disk")
    assert not any("Traceback" in line for line in said)
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []

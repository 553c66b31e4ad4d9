"""`evaluate`: detections and weights against true cells, and what can't be compared."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cytoyolo
from cytoyolo.errors import CytoyoloError, UsageError
from tests.outcomes import assert_refused
from tests.predicted_tables import crossvalidated, oof_text

Program = Callable[..., subprocess.CompletedProcess[str]]
TRUTH = """NAME,x1,y1,x2,y2,class
a.png,10,10,40,40,dark
a.png,60,10,90,40,pale
b.png,10,10,40,40,dark
b.png,100,100,140,140,msk
c.png,,,,,
"""
FOUND = """NAME,x1,y1,x2,y2,class,confidence,second_class,margin
a.png,11,10,40,41,dark,0.9,pale,0.8
a.png,60,11,90,40,dark,0.6,pale,0.1
b.png,101,100,139,139,pale,0.8,dark,0.7
c.png,10,10,30,30,pale,0.5,dark,0.2
"""


@pytest.fixture
def lab(tmp_path: Path, blobs: Path) -> Path:
    """A folder with a truth, detections of it, and the data set."""
    (tmp_path / "truth.csv").write_text(TRUTH)
    (tmp_path / "found.csv").write_text(FOUND)
    (tmp_path / "spec.yaml").write_text((blobs / "spec.yaml").read_text())
    return tmp_path


def evaluated(lab: Path, **options: object) -> cytoyolo.Evaluation:
    options = {"dataset": lab / "spec.yaml", "replicates": 50, **options}
    return cytoyolo.evaluate(lab / "truth.csv", lab / "found.csv", **options)  # type: ignore[arg-type]


def test_each_cell_is_right_missed_or_false(lab: Path) -> None:
    made = evaluated(lab)
    assert (made.images, made.cells, made.found) == (3, 3, 4)
    # Right: one dark cell. Another class: the pale cell. Missed: the cell of b. False: the cell of c. The cell in the
    # ignore region of b does not count.
    assert made.given.confusion.to_numpy().tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 0]]
    value = made.given.overall.set_index("figure")["value"]
    assert value["precision"] == pytest.approx(1 / 3) and value["recall"] == pytest.approx(1 / 3)
    assert value["found_recall"] == pytest.approx(2 / 3) and value["count_error"] == pytest.approx(2 / 3)
    assert made.best.threshold == 0.9
    assert made.remarks() == ["Classes with fewer than 20 true cells, too few to tell: dark; pale."]


def test_images_that_only_one_side_has_are_told(lab: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (lab / "truth.csv").write_text(TRUTH + "d.png,,,,,\ne.png,1,1,9,9,msk\nf.png,1,1,9,9,pale\n")
    (lab / "found.csv").write_text(FOUND + "e.png,40,40,60,60,pale,0.5,dark,0.2\n")
    assert evaluated(lab).images == 5
    assert "has only ignore regions there: 1 (e.png)" in caplog.text
    assert "Images of the truth with cells, and without a detection" in caplog.text and "1 (f.png)" in caplog.text


def test_a_truth_without_cells_has_no_average_precision(lab: Path, cytoyolo: Program) -> None:
    (lab / "truth.csv").write_text("NAME,x1,y1,x2,y2,class\na.png,,,,,\n")
    done = cytoyolo("evaluate", lab / "truth.csv", lab / "found.csv", "--dataset", lab / "spec.yaml")
    assert done.returncode == 0 and "AP50     -\nAP50-95  -\n" in done.stdout


def test_the_folder_holds_all_figures(lab: Path, cytoyolo: Program) -> None:
    call = ("evaluate", lab / "truth.csv", lab / "found.csv", "--dataset", lab / "spec.yaml", "-o", lab / "ev")
    done = cytoyolo(*call)
    assert done.returncode == 0, done.stderr
    assert "3 images, 3 true cells, 4 found" in done.stdout and "AP50" in done.stdout
    assert "too few to tell" in done.stderr and "begin at confidence 0.50" in done.stderr
    names = {path.name for path in (lab / "ev").iterdir()} - {".cytoyolo.json"}
    tables = {"overall.csv", "classes.csv", "calibration.csv", "average_precision.csv", "thresholds.csv"}
    assert names == tables | {
        "evaluation.json",
        "report.html",
        *(f"confusion_{n}.{e}" for n in ("given", "best") for e in ("csv", "png")),
    }
    overall = pd.read_csv(lab / "ev" / "overall.csv", float_precision="round_trip")
    assert sorted(set(overall["threshold"])) == [0.25, 0.9]
    content = json.loads((lab / "ev" / "evaluation.json").read_text())
    assert content["given"]["confusion"]["data"] == [[1, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert cytoyolo(*call).returncode == 2 and cytoyolo(*call, "--overwrite").returncode == 0
    again = {path.name: path.read_bytes() for path in (lab / "ev").glob("*.csv")}
    assert again["overall.csv"] == overall.to_csv(index=False, lineterminator="\n").encode()


def test_weights_search_the_images_of_the_truth(small_run: Path, blobs: Path, tmp_path: Path) -> None:
    made = cytoyolo.evaluate(
        blobs / "labels.csv", small_run / "weights" / "best.pt", images=blobs / "images", dataset=blobs / "spec.yaml",
        replicates=10,
    )  # fmt: skip
    found = cytoyolo.predict(
        small_run / "weights" / "best.pt", blobs / "images", output=tmp_path / "p", conf=0.001, pictures=False,
        probabilities=True,
    )  # fmt: skip
    same = cytoyolo.evaluate(blobs / "labels.csv", tmp_path / "p", dataset=blobs / "spec.yaml", replicates=10)
    assert (made.images, made.cells) == (24, 24) and made.found == found.rows
    # The table has whole pixels.
    np.testing.assert_allclose(made.average_precision["ap50"], same.average_precision["ap50"], atol=0.05)


def test_out_of_fold_predictions_are_detections_too(lab: Path) -> None:
    rows = [("a.png", 0, 200, 160, (10, 10, 40, 40), (0.9, 0.1)), ("b.png", 1, 200, 160, (10, 10, 40, 40), (0.8, 0.1))]
    oof = crossvalidated(lab / "CV", TRUTH.encode(), oof_text(rows, [("c.png", 1, 200, 160)]))
    made = cytoyolo.evaluate(lab / "truth.csv", oof, dataset=lab / "spec.yaml", replicates=10)
    assert made.given.confusion.to_numpy().tolist() == [[2, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_groups_have_figures_of_their_own(lab: Path) -> None:
    (lab / "groups.csv").write_text("NAME,group\na.png,s1\nb.png,s2\n")
    groups = evaluated(lab, groups=lab / "groups.csv").given.groups
    assert groups[["group", "images", "cells", "found"]].to_numpy().tolist() == [["s1", 1, 2, 2], ["s2", 1, 1, 0]]


def test_classes_of_one_side_only_are_kept(lab: Path) -> None:
    (lab / "found.csv").write_text(FOUND.replace("a.png,60,11,90,40,dark", "a.png,60,11,90,40,odd"))
    confusion = evaluated(lab).given.confusion
    assert list(confusion.columns) == ["dark", "pale", "odd", "(missed)"]
    assert confusion.loc["pale", "odd"] == 1


def test_no_detection_at_all_is_a_result(lab: Path) -> None:
    (lab / "found.csv").write_text(FOUND.splitlines()[0] + "\n")
    made = evaluated(lab, output=lab / "ev")
    assert made.given.overall.set_index("figure")["value"]["recall"] == 0
    assert made.average_precision["ap"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("truth", "found", "code", "words"),
    [
        (TRUTH.replace("pale", "pail"), FOUND, 1, "line 3: class 'pail' is not one of the 2 classes"),
        (TRUTH.replace("10,10,40,40,dark\na", "40,10,10,40,dark\na"), FOUND, 1, "line 2: 40,10,10,40 is not a box"),
        (TRUTH.replace("60,10,90,40", "60,10,nan,40"), FOUND, 1, "line 3: 60,10,nan,40 is not a box"),
        (FOUND, FOUND, 0, ""),  # a table of detections has the columns of labels
        (TRUTH, TRUTH, 1, "is a label table, not a table of detections; give detections.csv of `predict`"),
        (TRUTH, FOUND.replace(".png", ".jpg"), 1, "has no image of"),
        (TRUTH, FOUND.replace("0.6", "nan"), 1, "line 3: confidence is 'nan', not a number from 0 to 1"),
        ("", FOUND, 1, "truth.csv"),
        (TRUTH.splitlines()[0] + "\n", FOUND, 1, "a header but no rows"),
    ],
)
def test_what_cant_be_compared_is_one_sentence(
    truth: str, found: str, code: int, words: str, lab: Path, cytoyolo: Program
) -> None:
    (lab / "truth.csv").write_text(truth)
    (lab / "found.csv").write_text(found)
    done = cytoyolo("evaluate", lab / "truth.csv", lab / "found.csv", "--dataset", lab / "spec.yaml", "-o", lab / "ev")
    if code:
        assert_refused(done, code, words)
        assert not (lab / "ev").exists()
    else:
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": 1.5}, "precision=1.5; give a number from 0 to 1."),
        ({"conf": -1}, "conf=-1; give a number from 0 to 1."),
        ({"replicates": 0}, "replicates=0; give 1 or more."),
        ({"images": "."}, "no page is made"),
        ({"classifiers": ["cls.pt"]}, "`classifiers` is only for weights"),
    ],
)
def test_wrong_calls_are_one_sentence(options: dict[str, object], words: str, lab: Path) -> None:
    with pytest.raises(UsageError, match=words):
        evaluated(lab, **options)


def test_weights_need_the_images_of_the_truth(small_run: Path, blobs: Path, tmp_path: Path) -> None:
    weights = small_run / "weights" / "best.pt"
    with pytest.raises(UsageError, match="weights need `images`, the image folder"):
        cytoyolo.evaluate(blobs / "labels.csv", weights, dataset=blobs / "spec.yaml")
    (tmp_path / "blob00.jpg").write_bytes((blobs / "images" / "blob00.jpg").read_bytes())
    with pytest.raises(CytoyoloError, match="lacks 23 of the 24 images of the truth"):
        cytoyolo.evaluate(blobs / "labels.csv", weights, images=tmp_path, dataset=blobs / "spec.yaml")


def test_boxes_in_another_form_are_refused_or_told(lab: Path) -> None:
    """All figures would be 0, without a word of the reason."""
    random = np.random.default_rng(0)
    corner = random.uniform(20, 200, (60, 2))
    xyxy = np.hstack([corner, corner + random.uniform(70, 90, (60, 2))])
    names = [f"{number}.png" for number in range(60)]
    truth = pd.DataFrame(xyxy, columns=["x1", "y1", "x2", "y2"]).assign(**{"class": "dark"})
    truth.insert(0, "NAME", names)
    found = truth.round().assign(confidence=0.9, second_class="pale", margin=0.8)
    options = {"dataset": lab / "spec.yaml", "replicates": 5}
    sides = ["x1", "y1", "x2", "y2"]
    for table, divided in ((truth, lab / "truth.csv"), (found, lab / "found.csv")):
        truth.to_csv(lab / "truth.csv", index=False)
        found.to_csv(lab / "found.csv", index=False)
        assert (
            cytoyolo.evaluate(lab / "truth.csv", lab / "found.csv", **options).average_precision["ap50"].iloc[-1] == 1
        )
        table.assign(**(table[sides] / 360)).to_csv(divided, index=False)
        with pytest.raises(CytoyoloError, match=r"(truth|found)\.csv: its boxes are .*corners in pixels"):
            cytoyolo.evaluate(lab / "truth.csv", lab / "found.csv", **options)
    truth.to_csv(lab / "truth.csv", index=False)
    found.assign(**(found[sides] + 1000)).to_csv(lab / "found.csv", index=False)
    made = cytoyolo.evaluate(lab / "truth.csv", lab / "found.csv", **options)
    assert made.remarks()[0].startswith("No cell was found at its place with its class. Look whether")


def test_two_unknown_classes_at_one_place_are_no_repeated_row(lab: Path) -> None:
    (lab / "truth.csv").write_text(f"{TRUTH}d.png,1,1,20,20,odd\nd.png,1,1,20,20,queer\n")
    with pytest.raises(CytoyoloError, match=r"odd.*queer") as error:
        evaluated(lab)
    assert "repeats" not in str(error.value)


@pytest.mark.parametrize("which", ["truth", "found"])
def test_a_row_that_is_there_twice_is_refused(which: str, lab: Path) -> None:
    text = (lab / f"{which}.csv").read_text()
    (lab / f"{which}.csv").write_text(text + text.splitlines()[1] + "\n")
    with pytest.raises(CytoyoloError, match="repeats an earlier row"):
        evaluated(lab)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("NAME", "", "the row has no image name"),
        ("class", "", "class '' is no class of a cell"),
        ("class", "msk", "class 'msk' is no class of a cell"),
        ("class", " dark ", "class ' dark ' is no class of a cell"),
        ("x2", "1e8", "is not a box"),
    ],
)
def test_a_detection_without_a_name_a_class_or_a_box_is_refused(column: str, value: str, words: str, lab: Path) -> None:
    table = pd.read_csv(lab / "found.csv", dtype=str)
    table.loc[1, column] = value
    table.to_csv(lab / "found.csv", index=False)
    with pytest.raises(CytoyoloError, match=f"line 3: .*{words}"):
        evaluated(lab)


@pytest.mark.parametrize(
    "given",
    [{"iou": 0.9}, {"imgsz": 640}, {"tta": ["d4"]}, {"max_det": 1}, {"scale": 2.0}, {"tiles": "off"}, {"batch": 3}],
)
def test_a_setting_of_a_search_is_refused_for_a_table(given: dict[str, object], lab: Path) -> None:
    """`--iou 0.9` reads as the IoU of a match, and would change nothing."""
    with pytest.raises(UsageError, match=rf"`?{next(iter(given))}`? is only for weights, and .*found\.csv is a table"):
        evaluated(lab, **given)
    assert evaluated(lab, conf=0.5, tta=[], classifiers=[]).cells == 3

"""`curate` from end to end, on out-of-fold tables made by hand: each fault, every refusal, and the way back."""

import csv
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import logit

from cytoyolo import files
from cytoyolo.commands.apply import apply
from cytoyolo.commands.convert import convert
from cytoyolo.commands.curate import curate
from cytoyolo.commands.undo import undo
from cytoyolo.detector.table import OUT_OF_FOLD
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.files import atomic_file
from cytoyolo.spec import MASK, load_spec
from tests.blobs import SPEC as SPEC_TEXT
from tests.outcomes import assert_refused, contents
from tests.predicted_tables import SPEC, Row, crossvalidated, oof_text
from tests.properties import examples

Program = Callable[..., subprocess.CompletedProcess[str]]
SIZE = (200, 160)
CELL, ELSEWHERE = (20, 20, 60, 60), (120, 90, 160, 130)
LOOSE, TIGHT = (10, 10, 70, 62), (20.2, 19.9, 60.4, 60.49)
SURE = {"dark": (0.9, 0.05), "pale": (0.05, 0.9)}
HEADER = "NAME,x1,y1,x2,y2,class\n"
LOG_COLUMNS = ["line", "rule", "before", "after", "line_end", "reason", "fold", "confidence", "iou", "weights"]
ENDS = (".changes.csv", ".csv", ".findings.csv", ".report.html", ".scores.csv", ".suggestions.csv")
OUTPUTS = [f"made{end}" for end in ENDS]
NOTHING = "spurious.png"


def label(name: str, box: tuple[float, ...], code: str) -> str:
    return ",".join([name, *map(str, box), code])


# An image a fault. Eight images about which all agree come first, so that what the models say is believed.
GOOD = [(f"good{number}.png", ("dark", "pale")[number % 2]) for number in range(8)]
LINES = [
    *(label(name, CELL, code) for name, code in GOOD),
    label("loose.png", LOOSE, "dark"),
    label("displaced.png", ELSEWHERE, "dark"),
    label("overlooked.png", CELL, "dark"),
    label(NOTHING, CELL, "dark"),
    label(NOTHING, ELSEWHERE, "pale"),
    label("class.png", CELL, "pale"),
]
FOUND = [
    *((name, CELL, SURE[code]) for name, code in GOOD),
    ("loose.png", TIGHT, SURE["dark"]),
    ("displaced.png", TIGHT, SURE["dark"]),
    ("overlooked.png", (20, 20, 61, 60), SURE["dark"]),
    ("overlooked.png", ELSEWHERE, (0.06, 0.97)),
    (NOTHING, CELL, SURE["dark"]),
    ("class.png", CELL, (0.92, 0.03)),
]
NAMES = list(dict.fromkeys(line.split(",")[0] for line in LINES))


def rows_of(found: list[tuple]) -> Iterator[Row]:
    for name, box, shares in found:
        yield name, NAMES.index(name) % 2, *SIZE, box, shares


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """t.csv with all five faults, CV/ and images/ as they belong to it."""
    folder = tmp_path / "lab"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in NAMES:
        cv2.imwrite(str(folder / "images" / name), rng.integers(90, 200, (SIZE[1], SIZE[0], 3)).astype(np.uint8))
    data = (HEADER + "".join(f"{line}\n" for line in LINES)).encode()
    (folder / "t.csv").write_bytes(data)
    (folder / "spec.yaml").write_text(SPEC_TEXT)
    crossvalidated(folder / "CV", data, oof_text(rows_of(FOUND)))
    return folder


def made_of(lab: Path, **options: object) -> list[str]:
    """The lines of the curated table."""
    options = {"output": lab / "made.csv", "force": True, "overwrite": True, **options}
    return curate(lab / "t.csv", oof=lab / "CV" / "oof.csv", **options).table.read_text().splitlines()[1:]


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# What is changed

MOVED = {
    8: label("loose.png", (20, 20, 60, 60), "dark"),
    9: label("displaced.png", (20, 20, 60, 60), "dark"),
}
WIDER = {10: label("overlooked.png", (20, 20, 61, 60), "dark")}
MASKED = {12: label(NOTHING, ELSEWHERE, MASK)}
NEW = [label("overlooked.png", ELSEWHERE, MASK)]


@pytest.mark.parametrize("boxes", ["loose", "all", "none"])
@pytest.mark.parametrize("spurious", ["mask", "keep"])
def test_each_choice_changes_what_it_says_and_no_class_but_to_a_mask(spurious, boxes, lab):
    changed = {"loose": MOVED, "all": MOVED | WIDER, "none": {}}[boxes] | (MASKED if spurious == "mask" else {})
    made = made_of(lab, spurious=spurious, boxes=boxes)
    assert made == [changed.get(row, line) for row, line in enumerate(LINES)] + NEW
    for before, after in zip(LINES, made, strict=False):
        assert after.endswith((before.rpartition(",")[2], MASK))
    undo(lab / "made.csv", lab / "made.changes.csv", output=lab / "back.csv")
    assert (lab / "back.csv").read_bytes() == (lab / "t.csv").read_bytes()
    apply(lab / "t.csv", lab / "made.changes.csv", output=lab / "again.csv")
    assert (lab / "again.csv").read_bytes() == (lab / "made.csv").read_bytes()


def test_the_program_says_what_it_did_and_takes_it_back(lab, cytoyolo: Program):
    call = ("curate", lab / "t.csv", "--oof", lab / "CV" / "oof.csv", "-o", lab / "made.csv", "--force")
    done = cytoyolo(*call)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert done.stdout.startswith(f"{lab / 'made.csv'}: 14 labels, 5 findings, 5 changes\n")
    assert sorted(path.name for path in lab.glob("made*")) == OUTPUTS
    for rule in ("loose-box", "displaced", "spurious", "wrong-class", "overlooked"):
        assert rule in done.stdout
    back = cytoyolo("undo", lab / "made.csv", lab / "made.changes.csv", "-o", lab / "back.csv")
    assert back.returncode == 0 and (lab / "back.csv").read_bytes() == (lab / "t.csv").read_bytes()
    again = cytoyolo("apply", lab / "t.csv", lab / "made.changes.csv", "-o", lab / "again.csv")
    assert again.returncode == 0 and (lab / "again.csv").read_bytes() == (lab / "made.csv").read_bytes()


def test_the_log_has_the_evidence_of_each_change(lab):
    made_of(lab, boxes="loose")
    first, *entries = table_of(lab / "made.changes.csv")
    assert list(first) == LOG_COLUMNS and first["rule"] == "fingerprints" and first["fold"] == ""
    assert [(one["line"], one["rule"], one["before"], one["after"], one["fold"]) for one in entries] == [
        ("10", "loose-box", LINES[8], MOVED[8], "0"),
        ("11", "displaced", LINES[9], MOVED[9], "1"),
        ("14", "spurious", LINES[12], MASKED[12], "1"),
        ("16", "overlooked", "", NEW[0], "0"),
    ]
    assert [one["confidence"] for one in entries] == ["0.9000", "0.9000", "", "0.9700"]
    assert all(one["weights"] == f"{int(one['fold']):064x}" and one["reason"] for one in entries)


def test_findings_suggestions_and_scores_stand_beside_the_table(lab):
    made_of(lab)
    findings = table_of(lab / "made.findings.csv")
    assert [(one["line"], one["NAME"], one["rule"], one["action"]) for one in findings] == [
        ("10", "loose.png", "loose-box", "replace"),
        ("11", "displaced.png", "displaced", "replace"),
        ("14", NOTHING, "spurious", "mask"),
        ("15", "class.png", "wrong-class", "review"),
        ("", "overlooked.png", "overlooked", "mask"),
    ]
    (suggestion,) = table_of(lab / "made.suggestions.csv")
    assert (suggestion["line"], suggestion["class"], suggestion["suggested"]) == ("15", "pale", "dark")
    assert float(suggestion["margin"]) == pytest.approx(0.92 - 0.03, abs=1e-4)
    scores = table_of(lab / "made.scores.csv")
    assert [int(one["rank"]) for one in scores] == list(range(1, 15))
    values = [float(one["score"]) for one in scores]
    assert values == sorted(values) and {one["line"] for one in scores[:3]} == {"11", "14", "15"}
    assert {one["line"]: one["findings"] for one in scores if one["findings"]} == {
        "10": "loose-box", "11": "displaced", "14": "spurious", "15": "wrong-class",
    }  # fmt: skip


def test_the_actions_of_findings_are_those_of_the_call(lab):
    made_of(lab, spurious="keep", boxes="none")
    actions = {one["rule"]: one["action"] for one in table_of(lab / "made.findings.csv")}
    assert actions == {
        "loose-box": "review", "displaced": "review", "spurious": "review", "wrong-class": "review",
        "overlooked": "mask",
    }  # fmt: skip


def test_suggestions_and_findings_are_ranked_by_doubt(lab):
    shares = {"good0.png": (0.01, 0.92), "good1.png": (0.93, 0.9), "class.png": (0.99, 0.2)}
    found = [(name, box, shares.get(name, share)) for name, box, share in FOUND]
    crossvalidated(lab / "CV", (lab / "t.csv").read_bytes(), oof_text(rows_of(found)))
    made_of(lab)
    suggestions = table_of(lab / "made.suggestions.csv")
    assert [one["NAME"] for one in suggestions] == ["class.png", "good0.png", "good1.png"]
    findings = [one["NAME"] for one in table_of(lab / "made.findings.csv") if one["rule"] == "wrong-class"]
    assert findings == ["class.png", "good0.png", "good1.png"]  # and so on the sheet
    expected = [logit(0.99) - logit(0.2) / 2, logit(0.92) - logit(0.01) / 2, logit(0.93) - logit(0.9) / 2]
    assert [float(one["doubt"]) for one in suggestions] == pytest.approx(expected, abs=1e-4)
    assert float(suggestions[0]["margin"]) < float(suggestions[1]["margin"])


def test_the_same_input_gives_the_same_bytes_and_overwrite_replaces_them(lab):
    made_of(lab, boxes="all")
    first = {name: (lab / name).read_bytes() for name in OUTPUTS}
    made_of(lab, spurious="keep")
    assert (lab / "made.csv").read_bytes() != first["made.csv"]
    made_of(lab, boxes="all")
    assert {name: (lab / name).read_bytes() for name in OUTPUTS} == first


def test_the_folder_of_a_crossvalidation_stands_for_its_table(lab):
    made = curate(lab / "t.csv", oof=lab / "CV", output=lab / "made.csv", force=True)
    assert len(made.findings) == 5 and len(made.changes) == 5


OTHER_MODELS = [f"{fold:064x}" for fold in (7, 8)]


def second_crossvalidation(lab: Path, **changes: object) -> Path:
    """Predictions in other places and of other models, which take the wrong class for right."""
    found = [
        (name, tuple(value + 1 for value in box), (0.05, 0.99) if name == "class.png" else share)
        for name, box, share in FOUND
    ]
    changes = {"weights_sha256": OTHER_MODELS, **changes}
    return crossvalidated(lab / "CV2", (lab / "t.csv").read_bytes(), oof_text(rows_of(found)), **changes)


def test_of_several_crossvalidations_the_first_gives_boxes_and_all_name_classes(lab, cytoyolo: Program):
    made_of(lab, boxes="loose")
    alone = {name: (lab / name).read_bytes() for name in OUTPUTS}
    second = second_crossvalidation(lab)
    call = ["curate", lab / "t.csv", "-o", lab / "made.csv", "--boxes", "loose", "--force", "--overwrite"]
    done = cytoyolo(*call, "--oof", lab / "CV", "--oof", second)
    assert done.returncode == 0, done.stderr
    for name in ("made.csv", "made.changes.csv"):
        assert (lab / name).read_bytes() == alone[name]
    assert table_of(lab / "made.suggestions.csv") == []  # 0.92 and 0.05 for dark, 0.03 and 0.99 for pale
    scores = {one["line"]: one for one in table_of(lab / "made.scores.csv")}
    assert (scores["15"]["predicted"], scores["15"]["margin"]) == ("pale", "0.0000")
    dark, pale = logit(0.92) + logit(0.05), logit(0.03) + logit(0.99)
    assert float(scores["15"]["doubt"]) == pytest.approx(dark / 2 - pale / 2 * 2 / 3, abs=1e-4)


TWICE: dict[str, tuple[dict[str, object], type[CytoyoloError], str]] = {
    "the same models": (
        {"weights_sha256": [f"{fold:064x}" for fold in range(2)]}, UsageError,
        "are of the same models; run crossval with another `seed`",
    ),
    "another table": ({"labels_sha256": "0" * 64}, CytoyoloError, "is not the table that the folds of .*CV2 were made"),
    "another data set": (
        {"dataset": {"spec": load_spec("wbc5").to_dict()}}, CytoyoloError, "CV2 is of another data set than .*CV;"
    ),
    "not finished": ({"status": "running"}, CytoyoloError, "CV2 is not finished; "),
    "another table of the folds": (
        {"oof_sha256": "0" * 64}, CytoyoloError, r"CV2.oof\.csv has changed since the folds were finished; put"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_a_second_crossvalidation_that_does_not_fit_is_one_sentence(name, lab):
    changes, error, words = TWICE[name]
    second = second_crossvalidation(lab, **changes)
    before = contents(lab)
    with pytest.raises(error, match=words) as refused:
        curate(lab / "t.csv", oof=[lab / "CV", second], output=lab / "made.csv", force=True)
    assert str(refused.value).count("\n") == 0 and contents(lab) == before


def test_a_call_without_predictions_is_a_wrong_one(lab):
    with pytest.raises(UsageError, match="`oof` is missing"):
        curate(lab / "t.csv", oof=[], output=lab / "made.csv")


def test_where_nothing_is_found_the_table_stays_as_it_is(lab, cytoyolo: Program):
    data = (HEADER + "\r\n".join(label(name, CELL, code) for name, code in GOOD)).encode()
    (lab / "t.csv").write_bytes(data)
    crossvalidated(lab / "CV", data, oof_text(rows_of(FOUND[:8])))
    done = cytoyolo("curate", lab / "t.csv", "--oof", lab / "CV" / "oof.csv", "-o", lab / "made.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{lab / 'made.csv'}: 8 labels, 0 findings, 0 changes\n"
    assert (lab / "made.csv").read_bytes() == data
    (entry,) = table_of(lab / "made.changes.csv")
    assert entry["rule"] == "fingerprints" and entry["before"] == entry["after"]
    assert table_of(lab / "made.findings.csv") == table_of(lab / "made.suggestions.csv") == []
    assert undo(lab / "made.csv", lab / "made.changes.csv") == data


def test_masks_of_the_table_are_left_alone(lab):
    data = (lab / "t.csv").read_bytes() + b"good0.png,100,100,120,120,msk\n"
    (lab / "t.csv").write_bytes(data)
    crossvalidated(lab / "CV", data, oof_text(rows_of(FOUND)))
    assert made_of(lab)[14:] == ["good0.png,100,100,120,120,msk", *NEW]


def test_a_cell_in_a_mask_of_the_table_gets_no_other_mask(lab):
    data = (lab / "t.csv").read_bytes() + f"{NEW[0]}\n".encode()
    (lab / "t.csv").write_bytes(data)
    crossvalidated(lab / "CV", data, oof_text(rows_of(FOUND)))
    assert made_of(lab)[14:] == NEW


def test_an_image_of_which_only_masks_are_left_is_no_reason_to_refuse_the_table(lab):
    # `convert` leaves it out, so that no model predicts it.
    data = (lab / "t.csv").read_bytes() + b"masked.png,100,100,120,120,msk\n"
    (lab / "t.csv").write_bytes(data)
    crossvalidated(lab / "CV", data, oof_text(rows_of(FOUND)))
    assert made_of(lab)[14:] == ["masked.png,100,100,120,120,msk", *NEW]


def test_the_curated_table_converts_with_its_masks_painted(lab):
    made_of(lab)
    made = convert(lab / "made.csv", images=lab / "images", output=lab / "yolo", dataset=lab / "spec.yaml", val=0.2)
    assert (made.boxes, made.painted) == (13, 2)
    x1, y1, x2, y2 = ELSEWHERE
    for name in ("overlooked.png", NOTHING):
        before, after = cv2.imread(str(lab / "images" / name)), cv2.imread(str(lab / "yolo" / "images" / name))
        assert not after[y1:y2, x1:x2].any()
        after[y1:y2, x1:x2] = before[y1:y2, x1:x2]
        np.testing.assert_array_equal(after, before)


def made_with(lab: Path, found: list[tuple], **dataset: object) -> None:
    """Let CV/ be of a folder that `convert` made with a test table or a list of images without cells."""
    data = (lab / "t.csv").read_bytes()
    crossvalidated(lab / "CV", data, oof_text(rows_of(found)), dataset={"spec": SPEC.to_dict(), **dataset})


def test_images_that_leak_into_the_test_table_stay_as_they_are(lab, caplog):
    caplog.set_level("INFO", "cytoyolo")
    made_with(lab, [row for row in FOUND if row[0] != NOTHING], test={"name": "test.csv", "sha256": ""})
    made = made_of(lab, images=lab / "images")
    assert made == [(MOVED | WIDER).get(row, line) for row, line in enumerate(LINES)] + NEW
    assert "t.csv that also are in the test table of convert: 1 (spurious.png)" in caplog.text
    made_with(lab, [row for row in FOUND if row[0] != NOTHING], repair=True)
    with pytest.raises(CytoyoloError, match=r"of .*t.csv \(spurious.png\); its folds were made with a repair, so run"):
        made_of(lab)


def test_images_without_cells_from_a_list_are_searched_for_cells(lab):
    """They have no row in the label table. A cell there becomes an ignore region, and the list is still right."""
    (lab / "t.csv").write_text(HEADER + "".join(f"{line}\n" for line in LINES if NOTHING not in line))
    (lab / "none.txt").write_text(f"{NOTHING}\n")
    made_with(lab, FOUND, background={"name": "none.txt"})
    kept = [(MOVED | WIDER).get(row, line) for row, line in enumerate(LINES) if NOTHING not in line]
    assert made_of(lab, images=lab / "images") == kept + NEW + [label(NOTHING, CELL, MASK)]
    options = {"images": lab / "images", "dataset": lab / "spec.yaml", "val": 0.2, "background": lab / "none.txt"}
    made = convert(lab / "made.csv", output=lab / "yolo", **options)
    assert (made.images, made.painted, made.without_cells) == (len(NAMES), 2, 1)


@pytest.mark.parametrize("name", ["test", "background"])
def test_crossvalidations_of_different_images_are_refused(name, lab):
    made_with(lab, FOUND, **{name: {"name": "given"}})
    names = [one for one in NAMES if one != NOTHING] if name == "test" else [*NAMES, "more.png"]
    more = [("more.png", 0, *SIZE, CELL, SURE["dark"])] if name == "background" else []
    rows = [row for row in rows_of(FOUND) if row[0] in names] + more
    dataset = {"spec": SPEC.to_dict(), name: {"name": "given"}}
    data = (lab / "t.csv").read_bytes()
    crossvalidated(lab / "CV2", data, oof_text(rows), dataset=dataset, weights_sha256=["a" * 64, "b" * 64])
    with pytest.raises(CytoyoloError, match=r"CV2.oof.csv and .*CV.oof.csv are of different images \((spurious|more)"):
        curate(lab / "t.csv", oof=[lab / "CV", lab / "CV2"], output=lab / "made.csv", force=True)
    assert not (lab / "made.csv").exists()


@pytest.mark.slow
def test_a_sheet_shows_the_findings(lab, cytoyolo: Program):
    call = ("curate", lab / "t.csv", "--oof", lab / "CV" / "oof.csv", "-o", lab / "made.csv", "--force")
    done = cytoyolo(*call, "--images", lab / "images")
    assert done.returncode == 0, done.stderr
    sheet = cv2.imread(str(lab / "made.findings.png"))
    assert sheet is not None and len(np.unique(sheet.reshape(-1, 3), axis=0)) > 100
    height = sheet.shape[0]
    assert height > sheet.shape[1] / 8, "five findings are two rows of tiles"
    first = (lab / "made.findings.png").read_bytes()
    assert cytoyolo(*call, "--images", lab / "images", "--overwrite").returncode == 0
    assert (lab / "made.findings.png").read_bytes() == first


# What is refused


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 1, "would lose more than 3.0% of the rows of some classes (pale 1 of 6)"),
        (["--max-loss", 0.1], 1, "would lose more than 10.0%"),
        (["--max-loss", 2], 2, "--max-loss is 2.0; give a share from 0 to 1."),
        (["--max-loss", "nan"], 2, "--max-loss is nan; give a share from 0 to 1."),
        (["--variant", "keep"], 2, "`cytoyolo curate --variant` is now `cytoyolo curate --spurious mask|keep`."),
        (["--spurious", "all"], 2, "--spurious is 'all'; give mask or keep."),
        (["--boxes", "some"], 2, "--boxes is 'some'; give one of all, loose, none."),
    ],
    ids=str,
)
def test_the_program_refuses_in_one_sentence_and_writes_nothing(options, code, words, lab, cytoyolo: Program):
    before = contents(lab)
    call = ("curate", lab / "t.csv", "--oof", lab / "CV" / "oof.csv", "-o", lab / "made.csv", *options)
    assert_refused(cytoyolo(*call), code, words)
    assert contents(lab) == before


def test_a_loss_is_let_through_on_request_and_keep_loses_nothing(lab):
    for options in ({"force": True}, {"max_loss": 1 / 6}, {"spurious": "keep"}):
        assert made_of(lab, **{"force": False, **options})


def every_label_wrong(lab: Path) -> None:
    found = [(name, (2, 2, 9, 9), share) for name, _, share in FOUND]
    data = (lab / "t.csv").read_bytes()
    crossvalidated(lab / "CV", data, oof_text(rows_of(list(dict.fromkeys(found)))))


def nothing_found(lab: Path) -> None:
    empty = dict.fromkeys(row[:4] for row in rows_of(FOUND))
    crossvalidated(lab / "CV", (lab / "t.csv").read_bytes(), oof_text([], empty))


def without(folder: Path, name: str) -> None:
    lines = (folder / "CV" / "oof.csv").read_text().splitlines(keepends=True)
    (folder / "CV" / "oof.csv").write_text("".join(line for line in lines if not line.startswith(name)))


def manifest(lab: Path, **changes: object) -> None:
    crossvalidated(lab / "CV", (lab / "t.csv").read_bytes(), oof_text(rows_of(FOUND)), **changes)


def extended(lab: Path, text: str) -> None:
    with (lab / "CV" / "oof.csv").open("a") as file:
        file.write(text)


def zero_side(lab: Path) -> None:
    data = (lab / "t.csv").read_bytes().replace(b"20,20,60,60", b"20,20,20,60", 1)
    (lab / "t.csv").write_bytes(data)
    crossvalidated(lab / "CV", data, oof_text(rows_of(FOUND)))


REFUSED: dict[str, tuple[Callable[[Path], object], type[CytoyoloError], str]] = {
    "another table": (
        lambda lab: (lab / "t.csv").write_bytes((lab / "t.csv").read_bytes() + b"\n"),
        CytoyoloError,
        "is not the table that the folds of .*CV were made of (its fingerprint differs)",
    ),
    "not finished": (lambda lab: manifest(lab, status="running"), CytoyoloError, "is not finished; the same call"),
    "no crossval.json": (
        lambda lab: (lab / "CV" / "crossval.json").unlink(), UsageError, "CV: no crossval.json is there; give"
    ),
    "nothing there": (
        lambda lab: (lab / "CV").rename(lab / "elsewhere"), UsageError, "oof.csv: no such file or folder; give"
    ),
    "crossval.json in halves": (
        lambda lab: (lab / "CV" / "crossval.json").write_text('{"status": '), CytoyoloError, "is missing or damaged"
    ),
    "crossval.json of another kind": (
        lambda lab: (lab / "CV" / "crossval.json").write_text("[]"), CytoyoloError, "is missing or damaged"
    ),
    "crossval.json without classes": (lambda lab: manifest(lab, dataset={}), CytoyoloError, "is missing or damaged"),
    "crossval.json without weights": (
        lambda lab: manifest(lab, weights_sha256=None), CytoyoloError, "is missing or damaged"
    ),
    "no predictions": (lambda lab: (lab / "CV" / "oof.csv").unlink(), UsageError, "oof.csv: no such file"),
    "no labels": (lambda lab: (lab / "t.csv").unlink(), UsageError, "t.csv: no such file"),
    "predictions without an image": (
        lambda lab: without(lab, "good3"), CytoyoloError, "has nothing of images of .*t.csv (good3.png); run crossval"
    ),
    "predictions of an image too many": (
        lambda lab: extended(lab, "new.png,0,200,160,,,,,,,\n"), CytoyoloError, "has images that .*t.csv has not (new"
    ),
    "not a single detection": (
        nothing_found, CytoyoloError, "holds no detection at all"
    ),
    "a fold too many": (lambda lab: manifest(lab, folds=3), CytoyoloError, "has no rows of fold 2 of 3"),
    "an unknown fold": (
        lambda lab: extended(lab, "spurious.png,7,200,160,1,1,20,20,0.5,0.5,0.5\n"), CytoyoloError, "more than one fold"
    ),
    "a fold beyond the last": (
        lambda lab: (without(lab, "loose"), extended(lab, "loose.png,7,200,160,20,20,60,60,0.9,0.9,0.1\n")),
        CytoyoloError, "fold 7"
    ),
    "every label flagged": (every_label_wrong, CytoyoloError, "all labels of .*t.csv are flagged (14),"),
    "a table that can't be used": (zero_side, CytoyoloError, "t.csv can't be used"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_one_sentence_and_writes_nothing(name, lab):
    spoil, error, words = REFUSED[name]
    spoil(lab)
    before = contents(lab)
    pattern = re.escape(words).replace(re.escape(".*"), ".*")
    with pytest.raises(error, match=pattern) as refused:
        curate(lab / "t.csv", oof=lab / "CV" / "oof.csv", output=lab / "made.csv", max_loss=1)
    assert type(refused.value) is error and "\n" not in str(refused.value)
    assert contents(lab) == before


def test_every_label_may_be_flagged_on_request(lab):
    every_label_wrong(lab)
    assert made_of(lab, force=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"output": "t.csv"}, "t.csv is an input too; give another name"),
        ({"output": "t.csv", "overwrite": True}, "t.csv is an input too; give another name"),
        ({"output": "../lab/t.csv", "overwrite": True}, "is an input too"),
        ({"output": "link.csv", "overwrite": True}, "is an input too"),
        ({"output": "CV/oof.csv", "overwrite": True}, "is an input too"),
        ({"output": "there.csv"}, "there.csv exists; give another name or overwrite=True."),
        ({"output": "there.csv", "overwrite": True}, "there.csv is not a table this command made"),
        ({"output": "other.csv"}, "other.scores.csv exists; give another name or overwrite=True."),
        ({"output": "other.csv", "overwrite": True}, "other.scores.csv is not a table this command made"),
        (
            {"output": "picture.csv", "images": "images"},
            "picture.findings.png exists; give another name or overwrite=True.",
        ),
        ({"output": "folder.csv"}, "folder.csv is a folder; give the name of a CSV file."),
        ({"output": "folder.csv", "overwrite": True}, "folder.csv is a folder; give the name of a CSV file."),
        ({"output": "t.csv/made.csv"}, "is a file, so"),
        ({"output": "."}, "folder"),
        ({"output": "made.csv", "images": "nothing"}, "nothing: no such"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_sentence_and_changes_nothing(call, words, lab, monkeypatch):
    (lab / "there.csv").write_text("mine")
    (lab / "other.scores.csv").write_text("mine")
    (lab / "picture.findings.png").write_bytes(b"mine")
    (lab / "folder.csv").mkdir()
    (lab / "link.csv").symlink_to("t.csv")
    monkeypatch.chdir(lab)
    before = contents(lab)
    with pytest.raises(CytoyoloError, match=re.escape(words)):
        curate("t.csv", oof="CV/oof.csv", force=True, **call)
    assert contents(lab) == before


def test_a_missing_image_is_no_reason_to_leave_half_of_the_work(lab):
    (lab / "images" / "class.png").unlink()
    before = contents(lab)
    try:
        curate(lab / "t.csv", oof=lab / "CV", output=lab / "made.csv", images=lab / "images", force=True)
    except CytoyoloError as error:
        assert "class.png" in str(error)
        assert contents(lab) == before
    else:
        assert (lab / "made.csv").is_file() and (lab / "made.findings.png").is_file()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_at_the_last_output_leaves_what_was_there(exists, error, lab, monkeypatch):
    if exists:
        made_of(lab, spurious="keep")
    before = contents(lab)

    def failing(path: Path):
        if path.name == "made.csv":
            raise error
        return atomic_file(path)

    monkeypatch.setattr(files, "atomic_file", failing)
    with pytest.raises(type(error)):
        made_of(lab)
    assert contents(lab) == before


# Any labels and any predictions

SIDE = st.integers(2, 150)  # beyond what looks like a share of the image
BOX = st.tuples(SIDE, SIDE, st.integers(1, 90), st.integers(1, 90)).map(
    lambda at: (at[0], at[1], min(at[0] + at[2], SIZE[0]), min(at[1] + at[3], SIZE[1]))
)
SHARES = st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda at: (at[0] / 1000, at[1] / 1000))
NAME = st.sampled_from(["good0.png", "good1.png", "good2.png", '"go,od".png'])
ANY_LABEL = st.tuples(NAME, BOX, st.sampled_from(["dark", "pale", "pale", MASK]))
ANY_FOUND = st.tuples(NAME, BOX, SHARES)


def with_labels(rows: list[tuple[str, tuple[int, ...], str]]) -> list[tuple[str, tuple[int, ...], str]]:
    """The rows of images that have not only masks; those have a test of their own."""
    names = {name for name, _, code in rows if code != MASK}
    return [row for row in rows if row[0] in names]


@examples(50)
@given(
    st.lists(ANY_LABEL, min_size=1, max_size=8).map(with_labels).filter(bool),
    st.lists(ANY_FOUND, max_size=8, unique=True),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.sampled_from(["mask", "keep"]),
    st.sampled_from(["loose", "all", "none"]),
)
def test_any_curation_comes_back_byte_for_byte(tmp_path_factory, rows, found, end, cut, spurious, boxes):
    folder = tmp_path_factory.mktemp("any")
    quoted = {name: '"' + name.replace('"', '""') + '"' if '"' in name else name for name, *_ in [*rows, *found]}
    lines = [HEADER.strip(), *(label(quoted[name], box, code) for name, box, code in rows)]
    data = (end.join(lines) + end * (not cut)).encode()
    (folder / "t.csv").write_bytes(data)
    names = list(dict.fromkeys(name for name, _, code in rows if code != MASK))
    fold = {name: number % 2 for number, name in enumerate(names)}
    found = [one for one in found if one[0] in fold]
    assume(found)  # models that find nothing at all are refused
    seen = {name for name, *_ in found}
    text = oof_text(
        ((quoted[name], fold[name], *SIZE, box, shares) for name, box, shares in found),
        ((quoted[name], fold[name], *SIZE) for name in names if name not in seen),
    )
    crossvalidated(folder / "CV", data, text, folds=min(len(names), 2))
    made = curate(
        folder / "t.csv", oof=folder / "CV", output=folder / "made.csv", spurious=spurious, boxes=boxes, force=True
    )
    assert undo(folder / "made.csv", folder / "made.changes.csv") == data
    assert apply(folder / "t.csv", folder / "made.changes.csv") == (folder / "made.csv").read_bytes()
    codes = [line["class"] for line in table_of(folder / "made.csv")]
    assert all(after in (before, MASK) for (*_, before), after in zip(rows, codes, strict=False))
    assert codes[len(rows) :] == [MASK] * (made.findings["rule"] == "overlooked").sum()
    assert len(made.scores) == sum(code != MASK for *_, code in rows)


def test_real_labels_come_back_whatever_is_predicted(shared, tmp_path):
    """The whole table of a data set against noise about its own boxes, with cells left out and put in."""
    data = (shared / "wbc5" / "train.csv").read_bytes()
    table = pd.read_csv(shared / "wbc5" / "train.csv")
    rng = np.random.default_rng(0)
    spec = load_spec("wbc5")
    sides = ["x1", "y1", "x2", "y2"]
    size = table.groupby("NAME")[["x2", "y2"]].transform("max").to_numpy() + 20
    found = table[sides].to_numpy(float) + rng.normal(0, 4, (len(table), 4)) * rng.integers(0, 8, (len(table), 1))
    found = np.clip(
        np.concatenate([np.sort(found[:, 0::2]), np.sort(found[:, 1::2])], axis=1)[:, [0, 2, 1, 3]], 0, None
    )
    found = np.minimum(found, np.tile(size, 2))
    shares = rng.random((len(table), len(spec.codes))) * 0.3
    shares[np.arange(len(table)), [spec.ids[code] for code in table["class"]]] = rng.random(len(table))
    fold = pd.factorize(table["NAME"])[0] % 5
    block = np.column_stack([table["NAME"], fold, size])
    numbers = np.column_stack([found, shares.max(axis=1), shares]).round(6)
    oof = pd.DataFrame(
        np.column_stack([block, numbers]), columns=OUT_OF_FOLD.header(spec, spec.codes)
    ).drop_duplicates()
    crossvalidated(tmp_path / "CV", data, oof.to_csv(index=False), folds=5, dataset={"spec": spec.to_dict()})
    (tmp_path / "t.csv").write_bytes(data)
    for boxes in ("loose", "all"):
        made = curate(
            tmp_path / "t.csv", oof=tmp_path / "CV", output=tmp_path / f"{boxes}.csv", boxes=boxes, force=True
        )
        assert len(made.changes) > 100
        assert undo(tmp_path / f"{boxes}.csv", tmp_path / f"{boxes}.changes.csv") == data
        assert apply(tmp_path / "t.csv", made.log) == (tmp_path / f"{boxes}.csv").read_bytes()

"""`score` and `check` on files: as functions, through the command's parser and through the installed program."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import cytoyolo
from cytoyolo.cli import check, score
from cytoyolo.errors import CytoyoloError, UsageError

HEADER = "trustii_id,NAME,x1,y1,x2,y2,class\n"
TRUTH = HEADER + "1,a.jpg,0,0,10,10,PNN\n2,a.jpg,20,20,40,40,EO\n3,b.jpg,5,5,60,60,PNN\n"
SUBMISSION = HEADER + "1,a.jpg,0,0,10,10,PNN\n2,a.jpg,20,20,40,36,LY\n3,b.jpg,5,5,60,60,PNN\n"
TEST = "trustii_id,NAME\n1,a.jpg\n2,a.jpg\n3,b.jpg\n"
PROGRAM = Path(sys.executable).with_name("cytoyolo")

app = typer.Typer()
for command in (score, check):
    command.register(app)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("truth.csv", TRUTH), ("sub.csv", SUBMISSION), ("test.csv", TEST)):
        (tmp_path / name).write_text(text)
    return tmp_path


def invoke(folder: Path, *arguments: str) -> tuple[int, str, Exception | None]:
    result = CliRunner().invoke(app, [str(folder / a) if a.endswith((".csv", "out")) else a for a in arguments])
    error = result.exception if isinstance(result.exception, CytoyoloError) else None
    return result.exit_code, result.stdout, error


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (",c.jpg,,,,,\n,d.jpg,,,,,\n", "leaves out: 2"),  # images without cells have no ids
        ("3,c.jpg,0,0,10,10,LY\n", "trustii_id 3 of c.jpg has no row|NAME is"),
    ],
)
def test_ids_that_stand_twice_in_a_truth(folder: Path, caplog: pytest.LogCaptureFixture, more: str, said: str) -> None:
    caplog.set_level("INFO")
    (folder / "truth.csv").write_text(TRUTH + more)
    (folder / "sub.csv").write_text(TRUTH.replace("\n1,", "\n1.0,"))
    made = cytoyolo.score(folder / "truth.csv", folder / "sub.csv")
    assert (made.score == 1.0) == more.startswith(",") and re.search(said, caplog.text)
    assert "faults that" not in caplog.text and "is not in the test table" not in caplog.text


def test_a_single_image_has_no_interval(folder: Path) -> None:
    (folder / "one.csv").write_text(HEADER + "1,a.jpg,0,0,10,10,PNN\n")
    made = cytoyolo.score(folder / "one.csv", folder / "one.csv", folder / "out")
    assert np.isnan([*made.interval, *made.giou_interval, *made.macro_f1_interval]).all()
    assert json.loads((folder / "out" / "score.json").read_text())["interval"] == [None, None]
    assert "nan" not in (folder / "out" / "report.html").read_text().partition("<body")[2].lower().replace(
        "dominant", ""
    )
    assert "score 1.0000  (1 image)" in invoke(folder, "score", "one.csv", "one.csv")[1]


def test_ignore_regions_of_a_truth_are_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (folder / "truth.csv").write_text(TRUTH + "4,b.jpg,80,80,90,90,msk\n")
    cytoyolo.score(folder / "truth.csv", folder / "sub.csv")
    assert "Ignore regions in" in caplog.text and "scored as cells of a class msk: 1" in caplog.text


def test_score_function_and_its_folder(folder: Path) -> None:
    result = cytoyolo.score(folder / "truth.csv", folder / "sub.csv", folder / "out")
    assert result.macro_f1 == pytest.approx(1 / 3, abs=1e-12)
    assert result.giou == pytest.approx((1 + 0.9 + 1) / 3, abs=1e-12)
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {
        "report.html",
        "confusion.png",
        "confusion.csv",
        "classes.csv",
        "matches.csv",
        "score.json",
        ".cytoyolo.json",
    }
    assert json.loads((folder / "out" / "score.json").read_text()) == result.to_dict()
    matches = (folder / "out" / "matches.csv").read_text().splitlines()
    assert matches[:3] == ["trustii_id,NAME,true,predicted,GIoU", "1,a.jpg,PNN,PNN,1.0", "2,a.jpg,EO,LY,0.8"]
    assert (folder / "out" / "confusion.csv").read_text() == "true,EO,LY,PNN\nEO,0,1,0\nPNN,0,0,2\n"
    picture = cv2.imread(str(folder / "out" / "confusion.png"))
    assert picture is not None and min(picture.shape[:2]) > 200


@pytest.mark.usefixtures("printed")
def test_images_without_cells_are_left_out_of_the_truth_and_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cytoyolo.score(folder / "truth.csv", folder / "sub.csv")
    (folder / "more.csv").write_text(f"{TRUTH}4,none.jpg,,,,,\n,gone.jpg,nan,nan,nan,nan,\n")
    after = cytoyolo.score(folder / "more.csv", folder / "sub.csv")
    assert after.to_dict() == before.to_dict()
    assert "more.csv, which a score leaves out: 2.\n" in capsys.readouterr().err
    (folder / "none.csv").write_text(HEADER + "1,none.jpg,,,,,\n")
    with pytest.raises(CytoyoloError, match="has only images without cells"):
        cytoyolo.score(folder / "none.csv", folder / "sub.csv")


def test_an_output_that_exists_needs_overwrite_and_only_own_files(folder: Path) -> None:
    call = (folder / "truth.csv", folder / "sub.csv", folder / "out")
    cytoyolo.score(*call)
    with pytest.raises(UsageError, match="exists; give another folder or overwrite=True"):
        cytoyolo.score(*call)
    cytoyolo.score(*call, overwrite=True)
    (folder / "out" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="did not make"):
        cytoyolo.score(*call, overwrite=True)
    assert (folder / "out" / "mine.txt").read_text() == "keep"


def test_a_failure_leaves_no_output(folder: Path) -> None:
    (folder / "sub.csv").write_text(SUBMISSION.replace("LY", ""))
    with pytest.raises(CytoyoloError, match="line 3: class is empty"):
        cytoyolo.score(folder / "truth.csv", folder / "sub.csv", folder / "out")
    assert sorted(path.name for path in folder.iterdir()) == ["sub.csv", "test.csv", "truth.csv"]


def test_many_classes_have_a_page_and_no_picture(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = "".join(f"{number},a.jpg,0,0,{number + 1},9,c{number}\n" for number in range(101))
    (folder / "truth.csv").write_text(HEADER + rows)
    made = cytoyolo.score(folder / "truth.csv", folder / "truth.csv", folder / "out")
    assert made.score == pytest.approx(1)
    assert "101 different classes, too many for the picture of confusions (at most 100)" in caplog.text
    assert (folder / "out" / "report.html").is_file() and not (folder / "out" / "confusion.png").exists()
    assert len(pd.read_csv(folder / "out" / "confusion.csv")) == 101


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (HEADER.encode(), "no rows"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a PNG image, not a table"),
        (SUBMISSION.replace("class", "label").encode(), "needs the columns"),
        (SUBMISSION.replace("trustii_id,", "").encode(), "needs the columns"),
        (SUBMISSION.replace("LY", "LYé").encode("cp437"), "not UTF-8"),
        (SUBMISSION.replace(",36,", ",,").encode(), "line 3: y2 is ''"),
        (SUBMISSION.replace(",36,", ",nan,").encode(), "line 3: y2 is 'nan'"),
        (SUBMISSION.replace(",36,", ",-inf,").encode(), "line 3: y2 is '-inf'"),
        (SUBMISSION.replace(",36,", ",tall,").encode(), "line 3: y2 is 'tall'"),
        (SUBMISSION.replace(",36,", ",1e308,").encode(), "line 3: y2 is '1e308'"),
        (SUBMISSION.replace("LY", "").encode(), "line 3: class is empty"),
        (SUBMISSION.replace(",LY", "").encode(), "line 3"),
        (SUBMISSION.replace(",LY", ",LY,LY").encode(), "line 3: more than 7 columns"),
    ],
)
def test_bad_tables_are_one_sentence(folder: Path, text: bytes, message: str) -> None:
    (folder / "bad.csv").write_bytes(text)
    for call in (("truth.csv", "bad.csv"), ("bad.csv", "sub.csv")):
        with pytest.raises(CytoyoloError) as caught:
            cytoyolo.score(*(folder / name for name in call))
        assert message in str(caught.value) and "bad.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_tables_of_other_kinds_are_named(folder: Path) -> None:
    (folder / "labels.csv").write_text("NAME,x1,y1,x2,y2,class\na.jpg,0,0,10,10,PNN\n")
    (folder / "found.csv").write_text(
        "NAME,x1,y1,x2,y2,class,confidence,second_class,margin\na.jpg,0,0,10,10,PNN,0.9,LY,0.8\n"
    )
    needed = "`cytoyolo evaluate LABELS DETECTIONS` compares detections with labels, and a score needs the columns"
    for truth, submission, words in (
        ("labels.csv", "found.csv", f"labels.csv is a label table, not a truth; {needed}"),
        ("truth.csv", "found.csv", f"found.csv is a table of detections, not a submission; {needed}"),
        ("truth.csv", "test.csv", "test.csv is a test table, not a submission"),
    ):
        with pytest.raises(CytoyoloError, match=words):
            cytoyolo.score(folder / truth, folder / submission)
    with pytest.raises(CytoyoloError, match=r"labels\.csv is a label table, not a test table"):
        cytoyolo.check(folder / "labels.csv", folder / "sub.csv")
    (folder / "empty.csv").write_text(HEADER)
    with pytest.raises(CytoyoloError, match="a header but no rows"):
        cytoyolo.score(folder / "empty.csv", folder / "sub.csv")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("2,a.jpg,20,20,40,6,LY", "box 20,20,40,6 is inverted"),
        (",a.jpg,20,20,40,36,LY", "trustii_id is empty"),
        ("2,,20,20,40,36,LY", "NAME is empty"),
    ],
)
def test_a_truth_that_is_none_is_refused(row: str, fault: str, folder: Path) -> None:
    (folder / "bad.csv").write_text(SUBMISSION.replace("2,a.jpg,20,20,40,36,LY", row))
    with pytest.raises(CytoyoloError, match=f"line 3: {fault}"):
        cytoyolo.score(folder / "bad.csv", folder / "sub.csv")


def giou_of(a: list[float], b: list[float]) -> float:
    """As the definition has it, without a word on which corner is which."""
    inner = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    outer = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return inner / max(union, 1e-7) - (outer - union) / max(outer, 1e-7)


@pytest.mark.usefixtures("printed")
@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([60, 5, 5, 60], "box 60,5,5,60 is inverted"),
        ([60, 60, 5, 5], "box 60,60,5,5 is inverted"),
        ([5, 5, 5, 60], "box 5,5,5,60 has no area"),
        ([-5, 5, 60, 60], "box -5,5,60,60 has a negative coordinate"),
        ([5, 5, 3000000, 60], "x2 is '3000000', not a pixel coordinate"),
        ([0, 0, 0, 0], ""),
    ],
)
def test_a_faulty_box_is_scored_as_the_challenge_scores_it(
    box: list[int], fault: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = SUBMISSION.replace("3,b.jpg,5,5,60,60", f"3,b.jpg,{','.join(map(str, box))}")
    (folder / "sub.csv").write_text(rows)
    result = cytoyolo.score(folder / "truth.csv", folder / "sub.csv")
    assert result.matches["GIoU"].tolist()[2] == pytest.approx(giou_of([5, 5, 60, 60], [float(side) for side in box]))
    assert result.giou == pytest.approx(((result.matches["GIoU"] + 1) / 2).mean())
    said = capfd.readouterr().err
    assert ("has 1 fault that `cytoyolo check` names" in said and f"line 4: {fault}" in said) if fault else said == ""


@pytest.mark.usefixtures("printed")
def test_rows_that_take_no_part_do_no_harm(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plain = cytoyolo.score(folder / "truth.csv", folder / "sub.csv").to_dict()
    (folder / "sub.csv").write_text(f"{SUBMISSION},a.jpg,0,0,1,1,EO\n9,,0,0,1,1,EO\n1,a.jpg,7,7,3,3,EO\n")
    assert cytoyolo.score(folder / "truth.csv", folder / "sub.csv").to_dict() == plain
    said = capfd.readouterr().err
    assert "has 5 faults that `cytoyolo check` names (line 5: trustii_id is empty; line 6: NAME is empty" in said


FORMS = {
    "semicolons stand between the columns": SUBMISSION.replace(",", ";").encode(),
    "the file begins with a byte-order mark": SUBMISSION.encode("utf-8-sig"),
    "columns are not used (more)": "\n".join(
        f"{line},{'more' if number == 0 else 1}" for number, line in enumerate(SUBMISSION.splitlines())
    ).encode(),
    "columns are named in another way ('CLASS' is class)": SUBMISSION.replace("class", "CLASS").encode(),
    "the text is UTF-16": SUBMISSION.encode("utf-16"),
}


@pytest.mark.parametrize("words", FORMS)
def test_a_form_of_its_own_is_scored_and_is_a_finding_of_check(words: str, folder: Path) -> None:
    plain = cytoyolo.score(folder / "truth.csv", folder / "sub.csv").to_dict()
    for name in ("sub.csv", "test.csv"):
        (folder / name).write_bytes(FORMS[words] if name == "sub.csv" else TEST.replace(",", ";").encode("utf-16"))
    assert cytoyolo.score(folder / "truth.csv", folder / "sub.csv").to_dict() == plain
    found = [str(one) for one in cytoyolo.check(folder / "test.csv", folder / "sub.csv")]
    assert f"{words}; save it as a plain CSV (UTF-8)" in found


def test_the_package_runs_as_the_program_does(folder: Path) -> None:
    for call in (["score", "truth.csv", "sub.csv"], ["score", "none.csv", "sub.csv"]):
        program, module = (
            subprocess.run([*start, *call], cwd=folder, capture_output=True, text=True, check=False)
            for start in ([str(PROGRAM)], [sys.executable, "-m", "cytoyolo"])
        )
        assert (program.returncode, program.stdout, program.stderr) == (module.returncode, module.stdout, module.stderr)


def test_windows_line_ends_and_other_column_orders_score_the_same(folder: Path) -> None:
    plain = cytoyolo.score(folder / "truth.csv", folder / "sub.csv").to_dict()
    rows = [line.split(",") for line in SUBMISSION.splitlines()]
    (folder / "sub.csv").write_bytes("\r\n".join(",".join(row[::-1]) for row in rows).encode())
    assert cytoyolo.score(folder / "truth.csv", folder / "sub.csv").to_dict() == plain


def test_missing_files_folders_and_wrong_settings_are_wrong_calls(folder: Path) -> None:
    for call in (("none.csv", "sub.csv"), ("truth.csv", "none.csv"), ("truth.csv", ".")):
        with pytest.raises(UsageError):
            cytoyolo.score(*(folder / name for name in call))
    for settings in ({"seed": -1}, {"replicates": 0}, {"dataset": "none"}):
        with pytest.raises(UsageError):
            cytoyolo.score(folder / "truth.csv", folder / "sub.csv", **settings)


def test_json_is_one_object_with_the_agreed_keys(folder: Path) -> None:
    code, text, _ = invoke(folder, "score", "truth.csv", "sub.csv", "--json")
    data = json.loads(text)
    assert code == 0 and list(data) == ["score", "giou", "macro_f1", "interval", "classes"]
    assert data["score"] == pytest.approx(0.2 * 2.9 / 3 + 0.8 / 3, abs=1e-12)
    assert len(data["interval"]) == 2 and list(data["classes"]) == ["EO", "LY", "PNN"]
    assert list(data["classes"]["EO"]) == ["precision", "recall", "f1", "giou", "support"]
    assert data["classes"]["LY"]["giou"] is None and data["classes"]["PNN"]["support"] == 2


def test_people_get_score_parts_interval_and_table(folder: Path) -> None:
    (folder / "sub.csv").write_text(SUBMISSION.replace("LY", "[red]LY").replace("3,b.jpg", "4,b.jpg"))
    code, text, _ = invoke(folder, "score", "truth.csv", "sub.csv")
    assert code == 0 and text.startswith("score 0.2600  (95 % interval ")
    assert all(part in text for part in ("GIoU part", "macro F1", "precision", "PNN", "None", "[red]LY"))


def test_options_that_do_not_fit_together(folder: Path) -> None:
    error = invoke(folder, "score", "truth.csv", "sub.csv", "--overwrite")[2]
    assert isinstance(error, UsageError) and "--overwrite needs -o" in str(error)


def test_the_former_name_of_check_names_the_new_one(folder: Path) -> None:
    call = [str(PROGRAM), "score", "--check", "test.csv", "sub.csv"]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    said = "cytoyolo: `cytoyolo score --check` is now `cytoyolo check TEST.csv SUBMISSION.csv`.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_check_prints_findings_and_tells_by_its_exit_code(folder: Path) -> None:
    assert invoke(folder, "check", "test.csv", "sub.csv")[:2] == (0, f"{folder}/sub.csv: no findings\n")
    assert invoke(folder, "check", "test.csv", "sub.csv", "--json")[:2] == (0, '{"findings": []}\n')
    (folder / "sub.csv").write_text(SUBMISSION.replace("LY", "ly").replace("3,b.jpg", "1,a.jpg"))
    code, text, _ = invoke(folder, "check", "test.csv", "sub.csv")
    assert code == 1 and "sub.csv, line 3: class 'ly'" in text and "sub.csv: trustii_id 3 of b.jpg has no row" in text
    code, text, _ = invoke(folder, "check", "test.csv", "sub.csv", "--json")
    found = json.loads(text)["findings"]
    assert code == 1 and [one["line"] for one in found] == [3, 4, None]
    assert found[1]["message"] == "trustii_id 1 is already in line 2"


def test_check_shows_people_the_first_findings_and_counts_the_rest(folder: Path) -> None:
    (folder / "test.csv").write_text(TEST + "".join(f"{number},c.jpg\n" for number in range(10, 80)))
    text = invoke(folder, "check", "test.csv", "sub.csv")[1]
    assert text.count("has no row") == 50 and "and 20 more of this kind\n(--json lists all findings)" in text


def test_check_judges_boxes_by_the_images(folder: Path) -> None:
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images" / "a.jpg"), np.zeros((38, 50, 3), np.uint8))
    found = cytoyolo.check(folder / "test.csv", folder / "sub.csv", images=folder / "images")
    assert [str(one) for one in found] == ["image b.jpg is missing"]
    cv2.imwrite(str(folder / "images" / "b.jpg"), np.zeros((60, 59, 3), np.uint8))
    found = cytoyolo.check(folder / "test.csv", folder / "sub.csv", images=folder / "images")
    assert [str(one) for one in found] == ["line 4: box 5,5,60,60 reaches outside its image of 59x60 px"]
    with pytest.raises(UsageError, match="no such image folder"):
        cytoyolo.check(folder / "test.csv", folder / "sub.csv", images=folder / "none")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1.0,c.jpg", "line 5: trustii_id 1.0 is there twice"),
        (",c.jpg", "trustii_id is empty"),
        ("9,s/..", "the image name is"),
        ("9,", "the image name is ''"),
    ],
)
def test_check_refuses_a_faulty_test_table(folder: Path, row: str, message: str) -> None:
    (folder / "test.csv").write_text(f"{TEST}{row}\n")
    with pytest.raises(CytoyoloError, match=message):
        cytoyolo.check(folder / "test.csv", folder / "sub.csv")


def test_the_program(folder: Path) -> None:
    call = [str(PROGRAM), "score", "truth.csv", "sub.csv", "--json"]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    assert list(json.loads(done.stdout)) == ["score", "giou", "macro_f1", "interval", "classes"]
    call = [str(PROGRAM), "check", "test.csv", "truth.csv"]
    assert subprocess.run(call, cwd=folder, capture_output=True, check=False).returncode == 0
    call[-1] = "none.csv"
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "cytoyolo: none.csv: no such file; check the path.\n"


def test_scoring_loads_no_engine(folder: Path) -> None:
    code = (
        "import sys, cytoyolo; cytoyolo.score('truth.csv', 'sub.csv', 'out'); cytoyolo.check('test.csv', 'sub.csv');"
        "print([name for name in ('torch', 'ultralytics', 'sklearn', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

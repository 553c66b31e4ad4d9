"""`repair` from end to end: the table and its log, undo and apply byte for byte, and every refusal."""

import csv
import io
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from cytoyolo.commands import repair as commands
from cytoyolo.commands.apply import apply
from cytoyolo.commands.repair import repair
from cytoyolo.commands.undo import undo
from cytoyolo.errors import CytoyoloError, UsageError
from tests.outcomes import assert_refused, contents
from tests.pictures import JPEG, PNG, photo, rotated, save

HEADER = "NAME,x1,y1,x2,y2,class\n"
ROWS = (
    "a.jpg,20,25,90,100, pnn\nb.jpg,90,25,20,100,EO\nc.jpg,x,25,90,100,EO\nd.jpg,-5,25,90,100,BA\n"
    "d.jpg,-5,25,90,100,BA\ne.jpg,2,3\nf.jpg,20,25,90,100,LY"
)
CLEAN = (
    "a.jpg,20,25,90,100,PNN\nb.jpg,20,25,90,100,EO\nd.jpg,0,25,90,100,BA\nf.jpg,20,25,90,100,LY"
)  # fmt: skip
LOG_COLUMNS = ["line", "rule", "before", "after", "line_end", "reason"]
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of image facts of this test's own."""
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A table with a fault of six kinds."""
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "t.csv").write_text(HEADER + ROWS)
    return tmp_path / "lab"


def log_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# The table and its log


def test_what_has_one_right_answer_is_mended_and_logged(lab: Path, cytoyolo: Program) -> None:
    done = cytoyolo("repair", lab / "t.csv", "-o", lab / "clean.csv")
    assert done.returncode == 0, done.stderr
    assert (lab / "clean.csv").read_text() == HEADER + CLEAN
    assert (lab / "t.csv").read_text() == HEADER + ROWS
    assert done.stdout.startswith(f"{lab / 'clean.csv'}: 4 rows, 7 changes\n")
    assert f"All changes, with their reasons: {lab / 'changes.csv'}" in done.stderr
    first, *changes = log_of(lab / "changes.csv")
    assert list(first) == LOG_COLUMNS
    assert (first["line"], first["rule"]) == ("1", "fingerprints")
    assert first["before"] == sha256((lab / "t.csv").read_bytes()).hexdigest()
    assert first["after"] == sha256((lab / "clean.csv").read_bytes()).hexdigest()
    assert [(one["line"], one["rule"], one["after"], one["line_end"]) for one in changes] == [
        ("7", "broken-row", "", "LF"),
        ("4", "number", "", "LF"),
        ("2", "class-variant", "a.jpg,20,25,90,100,PNN", ""),
        ("3", "inverted", "b.jpg,20,25,90,100,EO", ""),
        ("5", "overhang", "d.jpg,0,25,90,100,BA", ""),
        ("6", "overhang", "d.jpg,0,25,90,100,BA", ""),
        ("6", "repeated-row", "", "LF"),
    ]
    assert all(one["before"] and one["reason"] for one in changes)
    assert [line for line in (HEADER + ROWS).splitlines() if line.startswith("e.jpg")] == [changes[0]["before"]]


def test_the_function_says_what_it_made(lab: Path) -> None:
    made = repair(lab / "t.csv", output=lab / "clean.csv", changes=lab / "why.csv")
    assert (made.table, made.log, made.rows, made.review) == (lab / "clean.csv", lab / "why.csv", 4, 0)
    assert made.changes["rule"].iloc[0] == "broken-row" and len(made.changes) == 7
    assert not (lab / "changes.csv").exists()


def test_a_sound_table_stays_as_it_is_and_findings_for_people_are_counted(lab: Path, cytoyolo: Program) -> None:
    rows = f'{HEADER}"a.jpg", 20,25.0,90,100,PNN\na.jpg,20,25,90,100,EO\n'
    (lab / "t.csv").write_text(rows)
    done = cytoyolo("repair", lab / "t.csv", "-o", lab / "clean.csv")
    assert done.stdout == f"{lab / 'clean.csv'}: 2 rows, 0 changes\n"
    assert done.stderr == "Findings that a person must look at (see cytoyolo audit): 1.\n"
    assert (lab / "clean.csv").read_text() == rows and len(log_of(lab / "changes.csv")) == 1


@pytest.fixture
def pictured(tmp_path: Path) -> Path:
    """A table whose faults only its images tell."""
    folder = tmp_path / "lab"
    (folder / "images").mkdir(parents=True)
    for name, data in {
        "a.jpg": save(photo(200, 160, seed=1), "JPEG"),
        "b.jpg": JPEG[: len(JPEG) // 2],
        "turned.jpg": rotated("JPEG", 6),
        "png.jpg": PNG,
        "test.jpg": save(photo(200, 160, seed=2), "JPEG"),
        "twin.jpg": save(photo(200, 160, seed=2), "JPEG", quality=70),
    }.items():
        (folder / "images" / name).write_bytes(data)
    (folder / "t.csv").write_text(
        f"{HEADER}A.JPG,20,25,210,100,PNN\nb.jpg,2,3,30,36,EO\nturned.jpg,2,20,30,46,BA\ngone.jpg,2,3,30,36,EO\n"
        "png.jpg,2,3,30,36,LY\ntwin.jpg,20,25,90,100,MO\na.jpg,300,25,310,100,PNN\n"
    )
    (folder / "test.csv").write_text("trustii_id,NAME\n1,test.jpg\n")
    return folder


def test_with_images_and_test(pictured: Path, cytoyolo: Program) -> None:
    inputs = ("--images", pictured / "images", "--test", pictured / "test.csv")
    before = contents(pictured)
    done = cytoyolo("repair", pictured / "t.csv", *inputs, "-o", pictured / "clean.csv")
    assert done.returncode == 0, done.stderr
    assert (pictured / "clean.csv").read_text() == (
        f"{HEADER}a.jpg,20,25,200,100,PNN\nturned.jpg,2,2,28,30,BA\npng.jpg,2,3,30,36,LY\n"
    )
    assert before.items() <= contents(pictured).items()
    again = repair(pictured / "clean.csv", images=pictured / "images", test=pictured / "test.csv",
                   output=pictured / "again.csv", changes=pictured / "none.csv")  # fmt: skip
    assert len(again.changes) == 0
    assert (pictured / "again.csv").read_bytes() == (pictured / "clean.csv").read_bytes()
    undo(pictured / "clean.csv", pictured / "changes.csv", output=pictured / "back.csv")
    assert (pictured / "back.csv").read_bytes() == before["t.csv"]


def test_rules_can_be_skipped(lab: Path, cytoyolo: Program) -> None:
    skipped = [part for rule in ("overhang", "repeated-row", "near-same") for part in ("--skip", rule)]
    done = cytoyolo("repair", lab / "t.csv", "-o", lab / "clean.csv", *skipped)
    assert done.returncode == 0, done.stderr
    assert (lab / "clean.csv").read_text().count("d.jpg,-5,25,90,100,BA") == 2
    assert {one["rule"] for one in log_of(lab / "changes.csv")} == {
        "fingerprints", "broken-row", "number", "class-variant", "inverted",
    }  # fmt: skip
    assert "Findings that a person must look at (see cytoyolo audit): 4." in done.stderr


def test_a_single_rule_is_skipped_by_its_name_alone(lab: Path) -> None:
    made = [
        repair(lab / "t.csv", output=lab / f"{number}.csv", changes=lab / f"log{number}.csv", skip=skip).changes
        for number, skip in enumerate(((), ["inverted"], "inverted"))
    ]
    assert "inverted" in set(made[0]["rule"]) and "inverted" not in set(made[1]["rule"])
    assert made[2].equals(made[1])


def test_a_config_says_what_is_done(lab: Path) -> None:
    (lab / "mine.yaml").write_text(
        "class-variant: {action: drop}\ninverted: {action: keep}\noverhang: {kept: 0.99}\nmostly-outside: {kept: 0.99}"
    )
    made = repair(lab / "t.csv", output=lab / "clean.csv", config=lab / "mine.yaml")
    assert (lab / "clean.csv").read_text() == (
        f"{HEADER}b.jpg,90,25,20,100,EO\nd.jpg,-5,25,90,100,BA\nf.jpg,20,25,90,100,LY"
    )
    assert made.review == 2


def test_repairing_the_result_changes_nothing(lab: Path) -> None:
    repair(lab / "t.csv", output=lab / "clean.csv")
    again = repair(lab / "clean.csv", output=lab / "again.csv", changes=lab / "none.csv")
    assert len(again.changes) == 0 and (lab / "again.csv").read_bytes() == (lab / "clean.csv").read_bytes()


# Undo and apply

FORMS = {
    "LF": HEADER + ROWS + "\n",
    "no last newline": HEADER + ROWS,
    "CRLF": (HEADER + ROWS).replace("\n", "\r\n"),
    "CR": (HEADER + ROWS).replace("\n", "\r"),
    "mixed": HEADER.strip() + "\r\n" + ROWS.replace("\n", "\r\n", 2).replace("d.jpg,-5,25,90,100,BA\n", "d.jpg,1\r"),
    "other columns": "class,x2,NAME,y1,x1,y2\n pnn,90,a.jpg,25,20,100\nEO,20,b.jpg,25,90,100\nEO,90,c.jpg,25,x,100",
    "quotes": '"NAME","x1","y1","x2","y2","class"\n"a, ""b"".jpg","20","25","90","100","pnn"\n"b.jpg,1\nc.jpg,1',
    "unicode": HEADER + "Lame é.jpg,-5,25,90,100,pnn\n細胞.jpg,x,2,3,4,EO\n\x0b\x85\u2028,1\nz.jpg,2,3,40,50,EO\n",
    "masks": f'{HEADER}a.jpg, 3,4.50,9,9,msk\r\n{ROWS}\nd.jpg,9,4,3,9,msk\n"a.jpg","1",2,3,40,"msk"\r\na,x,2,3,4, Msk',
    "empty lines": HEADER + "\n\na.jpg,20,25,90,100,pnn\n\n\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_undo_and_apply_are_exact_to_the_byte(name: str, lab: Path) -> None:
    (lab / "t.csv").write_bytes(FORMS[name].encode())
    made = repair(lab / "t.csv", output=lab / "clean.csv")
    assert len(made.changes) > 0
    undo(lab / "clean.csv", lab / "changes.csv", output=lab / "back.csv")
    assert (lab / "back.csv").read_bytes() == FORMS[name].encode()
    apply(lab / "t.csv", lab / "changes.csv", output=lab / "again.csv")
    assert (lab / "again.csv").read_bytes() == (lab / "clean.csv").read_bytes()


def test_masks_stay_as_they_are_written_and_only_unusable_ones_go(pictured: Path) -> None:
    rows = (pictured / "t.csv").read_text().splitlines(keepends=True)
    masks = ['"a.jpg", 150,+90,300.50,1e3,msk\n', "A.JPG,1,1,9,9,msk\n", "turned.jpg,2,20,5,47,msk\n",
             "gone.jpg,1,2,3,4,msk\n", "a.jpg,300,1,310,9,msk\n", "test.jpg,1,2,3,4,msk\n"]  # fmt: skip
    (pictured / "t.csv").write_text("".join([*rows[:3], *masks, *rows[3:]]))
    inputs = {"images": pictured / "images", "test": pictured / "test.csv"}
    made = repair(pictured / "t.csv", **inputs, output=pictured / "clean.csv")
    assert (pictured / "clean.csv").read_text() == (
        f"{HEADER}a.jpg,20,25,200,100,PNN\n{masks[0]}a.jpg,1,1,9,9,msk\nturned.jpg,1,2,28,5,msk\n{masks[5]}"
        "turned.jpg,2,2,28,30,BA\npng.jpg,2,3,30,36,LY\n"
    )
    assert made.rows == 7
    again = repair(pictured / "clean.csv", **inputs, output=pictured / "again.csv", changes=pictured / "none.csv")
    assert len(again.changes) == 0
    undo(pictured / "clean.csv", pictured / "changes.csv", output=pictured / "back.csv")
    assert (pictured / "back.csv").read_bytes() == (pictured / "t.csv").read_bytes()
    apply(pictured / "t.csv", pictured / "changes.csv", output=pictured / "applied.csv")
    assert (pictured / "applied.csv").read_bytes() == (pictured / "clean.csv").read_bytes()


def test_the_program_takes_back_and_carries_out_again(lab: Path, cytoyolo: Program) -> None:
    repair(lab / "t.csv", output=lab / "clean.csv")
    done = cytoyolo("undo", lab / "clean.csv", lab / "changes.csv", "-o", lab / "back.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{lab / 'back.csv'}\n", "")
    assert (lab / "back.csv").read_bytes() == (lab / "t.csv").read_bytes()
    done = cytoyolo("apply", lab / "t.csv", lab / "changes.csv", "-o", lab / "again.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{lab / 'again.csv'}\n", "")
    assert (lab / "again.csv").read_bytes() == (lab / "clean.csv").read_bytes()


def test_without_a_name_the_table_is_printed_to_the_byte(lab: Path) -> None:
    (lab / "t.csv").write_bytes(FORMS["mixed"].encode())
    repair(lab / "t.csv", output=lab / "clean.csv")
    for table, command, expected in (("clean.csv", "undo", "t.csv"), ("t.csv", "apply", "clean.csv")):
        program = Path(sys.executable).with_name("cytoyolo")
        call = [program, command, lab / table, lab / "changes.csv"]
        assert subprocess.run(call, capture_output=True, check=True).stdout == (lab / expected).read_bytes()


@pytest.mark.parametrize("row", ["a.jpg,1,2,3,4,{}", 'a.jpg,1,2,3,4,"{}"', "{}"])
def test_a_very_long_row_comes_back_too(row: str, lab: Path) -> None:
    (lab / "t.csv").write_text(HEADER + row.format("Q" * 200_000) + "\nz.jpg,2,3,40,50,EO\n")
    repair(lab / "t.csv", output=lab / "clean.csv")
    undo(lab / "clean.csv", lab / "changes.csv", output=lab / "back.csv")
    assert (lab / "back.csv").read_bytes() == (lab / "t.csv").read_bytes()


def test_a_log_saved_by_a_spreadsheet_still_works(lab: Path) -> None:
    repair(lab / "t.csv", output=lab / "clean.csv")
    text = (lab / "changes.csv").read_text()
    saved = io.StringIO()
    csv.writer(saved, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows(csv.reader(io.StringIO(text)))
    (lab / "saved.csv").write_bytes(saved.getvalue().encode())
    undo(lab / "clean.csv", lab / "saved.csv", output=lab / "back.csv")
    assert (lab / "back.csv").read_bytes() == (lab / "t.csv").read_bytes()
    apply(lab / "t.csv", lab / "saved.csv", output=lab / "again.csv")
    assert (lab / "again.csv").read_bytes() == (lab / "clean.csv").read_bytes()


EDITS: dict[str, Callable[[str], str]] = {
    "semicolons": lambda text: text.replace(",", ";"),
    "without header": lambda text: text.partition("\n")[2],
    "without fingerprints": lambda text: "\n".join(text.split("\n")[:1] + text.split("\n")[2:]),
    "without a change": lambda text: "\n".join(text.split("\n")[:2] + text.split("\n")[3:]),
    "another class": lambda text: text.replace("EO", "PNN"),
    "another box": lambda text: text.replace("-5", "-6"),
    "another line": lambda text: text.replace("\n5,overhang", "\n6,overhang"),
    "no number": lambda text: text.replace("\n4,number", "\n4.0,number"),
    "another end": lambda text: text.replace(",LF,", ",CRLF,"),
    "another fingerprint": lambda text: re.sub("fingerprints,..", "fingerprints,00", text),
    "empty": lambda text: "",
    "a quote": lambda text: text + '"',
}


@pytest.mark.parametrize("name", EDITS)
def test_a_log_edited_by_hand_is_refused_in_one_sentence(name: str, lab: Path) -> None:
    repair(lab / "t.csv", output=lab / "clean.csv")
    edited = EDITS[name]((lab / "changes.csv").read_text())
    assert edited != (lab / "changes.csv").read_text()
    (lab / "edited.csv").write_text(edited)
    with pytest.raises(CytoyoloError) as refused:
        undo(lab / "clean.csv", lab / "edited.csv", output=lab / "back.csv")
    assert refused.value.exit_code == 1 and "\n" not in str(refused.value)
    assert not (lab / "back.csv").exists()


def test_a_log_that_a_spreadsheet_saved_again_is_read(lab: Path) -> None:
    repair(lab / "t.csv", output=lab / "clean.csv")
    log = pd.read_csv(lab / "changes.csv", dtype=str, keep_default_na=False)
    log.to_csv(lab / "changes.csv", index=False, sep=";", encoding="utf-8-sig", lineterminator="\r\n")
    assert undo(lab / "clean.csv", lab / "changes.csv") == (lab / "t.csv").read_bytes()


@pytest.mark.parametrize("name", ["line too large", "a column twice", "of an empty table", "of a table not UTF-8"])
def test_a_log_that_makes_no_sense_is_refused_in_one_sentence(name: str, lab: Path) -> None:
    repair(lab / "t.csv", output=lab / "clean.csv")
    text = (lab / "changes.csv").read_text()
    if name == "line too large":
        text = text.replace("\n4,number", "\n99999999999999999999,number")
    elif name == "a column twice":
        text = "".join(f"{line},{'line' if number == 0 else 1}\n" for number, line in enumerate(text.splitlines()))
    else:
        (lab / "clean.csv").write_bytes(b"" if name == "of an empty table" else b"\xe9")
        own = sha256((lab / "clean.csv").read_bytes()).hexdigest()
        text = f"{','.join(LOG_COLUMNS)}\n1,fingerprints,{own[::-1]},{own},,\n"
    (lab / "edited.csv").write_text(text)
    with pytest.raises(CytoyoloError):
        undo(lab / "clean.csv", lab / "edited.csv", output=lab / "back.csv")


def test_the_log_of_another_table_is_refused(lab: Path, cytoyolo: Program) -> None:
    (lab / "other.csv").write_text(HEADER + "a.jpg,-20,25,90,100,PNN\n")
    repair(lab / "t.csv", output=lab / "clean.csv")
    repair(lab / "other.csv", output=lab / "other_clean.csv", changes=lab / "other_changes.csv")
    before = contents(lab)
    done = cytoyolo("undo", lab / "clean.csv", lab / "other_changes.csv", "-o", lab / "back.csv")
    assert_refused(done, 1, "this change log does not belong to the table; give the log that was written with it.")
    done = cytoyolo("apply", lab / "t.csv", lab / "other_changes.csv", "-o", lab / "back.csv")
    assert_refused(done, 1, "this change log was made for another table")
    for table, log in (("t.csv", "changes.csv"), ("clean.csv", "t.csv"), ("clean.csv", "clean.csv")):
        with pytest.raises(CytoyoloError):
            undo(lab / table, lab / log, output=lab / "back.csv")
    assert contents(lab) == before


# Tables that must not be used

STOPS = {
    "normalised": ("a.jpg,0.1,0.2,0.5,0.6,PNN\n" * 3, "multiply x by the width of the image and y by its height"),
    "xywh": ("a.jpg,120,100,60,40,PNN\n" * 12, "make x2 = x1 + width and y2 = y1 + height"),
    "path": ("../a.jpg,20,25,90,100,PNN\n", "image name '../a.jpg' leads to another folder; give the image folder"),
}


@pytest.mark.parametrize("rule", STOPS)
def test_a_table_that_must_not_be_used_is_refused_with_the_way_out(rule: str, lab: Path) -> None:
    rows, words = STOPS[rule]
    (lab / "t.csv").write_text(HEADER + rows)
    before = contents(lab)
    with pytest.raises(CytoyoloError, match=re.escape(words)) as refused:
        repair(lab / "t.csv", output=lab / "clean.csv")
    assert f"{rule}: " in str(refused.value) and refused.value.exit_code == 1
    assert contents(lab) == before


def test_a_transposed_table_is_refused_with_the_way_out(pictured: Path, cytoyolo: Program) -> None:
    rows = []
    for seed in range(4):
        (pictured / "images" / f"wide{seed}.jpg").write_bytes(save(photo(200, 100, seed=seed + 10), "JPEG"))
        rows.append(f"wide{seed}.jpg,10,120,80,190,PNN\n")
    (pictured / "t.csv").write_text(HEADER + "".join(rows))
    before = contents(pictured)
    done = cytoyolo("repair", pictured / "t.csv", "--images", pictured / "images", "-o", pictured / "clean.csv")
    assert_refused(done, 1, "transposed-table: 4 of 4 images that can tell, the axes are swapped; exchange x1 with y1")
    assert contents(pictured) == before


def test_a_file_that_is_no_table_is_refused(lab: Path, cytoyolo: Program) -> None:
    (lab / "t.csv").write_bytes(b'{"images": [], "annotations": [], "categories": []}')
    before = contents(lab)
    refused = cytoyolo("repair", lab / "t.csv", "-o", lab / "clean.csv")
    words = (
        "is a file of COCO annotations (JSON), not a table with the columns NAME,x1,y1,x2,y2,class; `cytoyolo import"
    )
    assert_refused(refused, 1, words)
    assert contents(lab) == before


def test_a_table_of_a_spreadsheet_keeps_its_form(lab: Path) -> None:
    text = (HEADER + ROWS).replace(",", ";").replace("\n", "\r\n")
    (lab / "t.csv").write_bytes(text.encode("utf-16"))
    repair(lab / "t.csv", output=lab / "clean.csv")
    clean = (lab / "clean.csv").read_bytes().decode("utf-16")
    assert clean.startswith(HEADER.strip().replace(",", ";") + "\r\n") and "," not in clean
    assert undo(lab / "clean.csv", lab / "changes.csv") == text.encode("utf-16")
    repair(lab / "t.csv", output=lab / "clean.csv", overwrite=True)


def test_a_table_of_which_nothing_is_left_is_refused(lab: Path) -> None:
    (lab / "t.csv").write_text(HEADER + "a.jpg,x,2,30,40,PNN\n")
    with pytest.raises(CytoyoloError):
        repair(lab / "t.csv", output=lab / "clean.csv")


# Outputs


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"output": "there.csv"}, "there.csv exists; give another name or overwrite=True."),
        ({"output": "clean.csv", "changes": "there.csv"}, "there.csv exists"),
        ({"output": "t.csv"}, "t.csv is also an input or the change log"),
        ({"output": "t.csv", "overwrite": True}, "t.csv is also an input or the change log"),
        ({"output": "../lab/t.csv", "overwrite": True}, "is also an input or the change log"),
        ({"output": "link.csv", "overwrite": True}, "is also an input or the change log"),
        ({"output": "clean.csv", "changes": "t.csv", "overwrite": True}, "is also an input or the change log"),
        ({"output": "clean.csv", "changes": "there.csv", "overwrite": True}, "is not a table this command made"),
        ({"output": "clean.csv", "changes": "clean.csv"}, "is also an input or the change log"),
        ({"output": "changes.csv"}, "is also an input or the change log"),
        ({"output": "folder"}, "folder is a folder; give the name of a CSV file."),
        ({"output": "clean.csv", "changes": "folder"}, "folder is a folder"),
        ({"output": "t.csv/clean.csv"}, "is a file, so"),
        ({"output": "clean.csv", "skip": ["nothing"]}, "there is no such rule"),
        ({"output": "clean.csv", "skip": ["schema"]}, "this rule can't be skipped"),
        ({"output": "clean.csv", "skip": ["exif-orientation"]}, "this rule can't be skipped"),
        ({"output": "clean.csv", "images": "nothing"}, "no such image folder"),
        ({"output": "clean.csv", "test": "nothing"}, "nothing: no such file"),
        ({"output": "clean.csv", "config": "nothing"}, "nothing: no such file"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_sentence_and_changes_nothing(
    call: dict[str, object], words: str, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab / "there.csv").write_text("mine")
    (lab / "folder").mkdir()
    (lab / "link.csv").symlink_to("t.csv")
    monkeypatch.chdir(lab)
    before = contents(lab)
    with pytest.raises(UsageError, match=re.escape(words)):
        repair("t.csv", **call)
    assert contents(lab) == before


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (["repair", "t.csv", "--overwrite"], "Missing option '--output'"),
        (["repair", "t.csv", "--undo"], "`cytoyolo repair --undo` is now `cytoyolo undo CLEAN.csv CHANGES.csv`."),
        (["repair", "t.csv", "--apply"], "`cytoyolo repair --apply` is now `cytoyolo apply LABELS.csv CHANGES.csv`."),
        (["undo", "t.csv"], "Missing argument 'CHANGES.csv'"),
        (["undo", "t.csv", "changes.csv", "--json"], "--json needs -o; without -o the table itself is printed."),
        (["apply", "t.csv", "changes.csv", "--overwrite"], "--overwrite needs -o"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_of_the_program(call: list[str], words: str, lab: Path, cytoyolo: Program) -> None:
    command, table, *options = call
    assert_refused(cytoyolo(command, lab / table, *options), 2, words)
    assert list(contents(lab)) == ["t.csv"]


@pytest.mark.parametrize("again", [undo, apply])
def test_undo_and_apply_write_over_nothing(again: Callable[..., bytes], lab: Path) -> None:
    repair(lab / "t.csv", output=lab / "clean.csv")
    (lab / "there.csv").write_text(HEADER + "mine")
    table = lab / ("clean.csv" if again is undo else "t.csv")
    before = contents(lab)
    for name, overwrite in (("there.csv", False), (table.name, True), ("changes.csv", True)):
        with pytest.raises(UsageError):
            again(table, lab / "changes.csv", output=lab / name, overwrite=overwrite)
    assert contents(lab) == before
    again(table, lab / "changes.csv", output=lab / "there.csv", overwrite=True)
    assert (lab / "there.csv").read_bytes() == (lab / ("t.csv" if again is undo else "clean.csv")).read_bytes()


def test_an_earlier_result_is_replaced_on_request(lab: Path) -> None:
    repair(lab / "t.csv", output=lab / "clean.csv", skip=["overhang"])
    repair(lab / "t.csv", output=lab / "clean.csv", overwrite=True)
    assert (lab / "clean.csv").read_text() == HEADER + CLEAN
    undo(lab / "clean.csv", lab / "changes.csv", output=lab / "back.csv")
    assert (lab / "back.csv").read_bytes() == (lab / "t.csv").read_bytes()


@pytest.mark.parametrize("name", ["mine.yaml", "notes.txt", "picture.jpg"])
def test_a_users_file_is_never_replaced(name: str, lab: Path) -> None:
    (lab / "mine.yaml").write_text("overhang: {action: review}\n")
    (lab / "notes.txt").write_text("my notes")
    (lab / "picture.jpg").write_bytes(JPEG)
    before = contents(lab)
    with pytest.raises(UsageError):
        repair(lab / "t.csv", output=lab / name, config=lab / "mine.yaml", overwrite=True)
    assert contents(lab) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), SystemExit(143)])
@pytest.mark.parametrize("place", ["atomic_file", "note_form"])
def test_a_failure_midway_leaves_nothing(
    place: str, error: BaseException, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    before = contents(lab)
    monkeypatch.setattr(commands, place, fail)
    with pytest.raises(type(error)):
        repair(lab / "t.csv", output=lab / "clean.csv")
    assert contents(lab) == before


@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_between_log_and_table_leaves_what_was_there(
    exists: bool, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if exists:
        repair(lab / "t.csv", output=lab / "clean.csv", skip=["overhang"])
    before = contents(lab)

    def fail(table: pd.DataFrame, *args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(OSError, match="No space"):
        repair(lab / "t.csv", output=lab / "clean.csv", overwrite=exists)
    assert contents(lab) == before


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_is_one_sentence_and_leaves_nothing(stop: int, code: int, tmp_path: Path) -> None:
    rows = pd.DataFrame({"row": range(300_000)})["row"]
    table = HEADER + "\n".join(f"{row}.jpg,-5,25,90,100,PNN" for row in rows) + "\n"
    (tmp_path / "t.csv").write_text(table)
    program = Path(sys.executable).with_name("cytoyolo")
    call = [program, "repair", tmp_path / "t.csv", "-o", tmp_path / "clean.csv"]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    time.sleep(1.2)
    process.send_signal(stop)
    assert process.communicate(timeout=60)[1] == "cytoyolo: interrupted.\n"
    assert process.returncode == code
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]

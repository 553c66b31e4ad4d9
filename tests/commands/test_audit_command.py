"""`audit` from end to end: what it prints and writes, its exit codes, and that it changes nothing."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from cytoyolo.annotations.rules import RULES
from cytoyolo.commands.audit import audit, rules
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import fingerprint
from cytoyolo.yolo.folder import images_fingerprint
from tests.outcomes import assert_refused
from tests.pictures import JPEG, PNG, photo, rotated, save

HEADER = "NAME,x1,y1,x2,y2,class\n"
TEST_HEADER = f"{load_spec('cytologia').columns['id']},NAME\n"
COLUMNS = ["line", "NAME", "rule", "severity", "value", "action", "detail"]
SIZE = (200, 160)
ERRORS = {
    "missing-image": 6,
    "unreadable": 5,
    "exif-orientation": 4,
    "inverted": 3,
    "class-variant": 2,
    "leak": 7,
}
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of image facts of this test's own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CYTOYOLO_HOME", str(folder))
    return folder


def picture(seed: int) -> bytes:
    return save(photo(*SIZE, seed=seed), "JPEG", quality=90)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven rows, of which five have a fault that the table or the image tells and one leaks into the test."""
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "images").mkdir()
    files = {
        "a.jpg": picture(0),
        "b.jpg": picture(1),
        "turned.jpg": rotated("JPEG", 6),
        "cut.jpg": JPEG[: len(JPEG) // 2],
        "twin.jpg": save(photo(*SIZE, seed=2), "JPEG", quality=60),
        "test.jpg": picture(2),
        "nobody.jpg": picture(3),
    }
    for name, data in files.items():
        (folder / "images" / name).write_bytes(data)
    (folder / "labels.csv").write_text(
        f"{HEADER}a.jpg,20,25,90,100, pnn\nb.jpg,90,25,20,100,EO\nturned.jpg,2,3,30,36,BA\ncut.jpg,2,3,30,36,LY\n"
        "gone.jpg,2,3,30,36,MO\ntwin.jpg,-4,25,90,100,EO\n"
    )
    (folder / "test.csv").write_text(f"{TEST_HEADER}1,test.jpg\n")
    (folder / "sound.csv").write_text(f"{HEADER}a.jpg,20,25,90,100,PNN\nb.jpg,-4,25,90,100,EO\n")
    return folder


def with_images(folder: Path, table: str = "labels.csv") -> tuple[object, ...]:
    return ("audit", folder / table, "--images", folder / "images", "--test", folder / "test.csv")


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of modification of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


# What it finds


def test_the_table_alone(faulty: Path, cytoyolo: Program) -> None:
    done = cytoyolo("audit", faulty / "labels.csv")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{faulty / 'labels.csv'}: 6 rows; 2 errors, 1 warning, ")
    assert f"{faulty / 'labels.csv'}, line 2: class-variant: a.jpg ' pnn' is PNN" in done.stdout
    assert f"{faulty / 'labels.csv'}, line 3: inverted: b.jpg 90,25,20,100 corners in the wrong order" in done.stdout
    assert "Rules not applied (needs the images): 32." in done.stderr
    assert "Rules not applied (needs the test table): 1." in done.stderr


def test_with_images_and_test(faulty: Path, cytoyolo: Program) -> None:
    done = cytoyolo(*with_images(faulty))
    assert done.returncode == 1 and done.stderr == ""
    made = audit(faulty / "labels.csv", images=faulty / "images", test=faulty / "test.csv")
    errors = made.findings[made.findings["severity"] == "error"]
    assert dict(zip(errors["rule"], errors["line"], strict=True)) == ERRORS
    assert len(errors) == made.errors == len(ERRORS)
    for rule, line in ERRORS.items():
        assert f"line {line}: {rule}: " in done.stdout
    others = made.findings[made.findings["severity"] == "warning"]
    assert dict(zip(others["rule"], others["image"], strict=True)) == {
        "unlabelled-image": "nobody.jpg",
        "overhang": "twin.jpg",
    }


def test_exit_codes_go_by_the_errors(faulty: Path, cytoyolo: Program) -> None:
    assert cytoyolo("audit", faulty / "sound.csv", "--images", faulty / "images").returncode == 0
    assert cytoyolo("audit", faulty / "sound.csv").returncode == 0
    assert audit(faulty / "labels.csv").errors == 2


def test_every_error_is_counted_where_only_some_are_shown(tmp_path: Path, cytoyolo: Program) -> None:
    (tmp_path / "t.csv").write_text(HEADER + "a.jpg,2,3,30,36,PNN\na.jpg,2,3,30,36,XYZ\n" * 25)
    done = cytoyolo("audit", tmp_path / "t.csv")
    assert "25 errors" in done.stdout and "and 5 more of this kind\n(-o DIR writes all findings" in done.stdout
    assert done.stdout.count("not one of the 23 classes") == 20
    written = cytoyolo("audit", tmp_path / "t.csv", "-o", tmp_path / "out").stdout
    assert f"more of this kind\n(all are in {tmp_path}/out/findings.csv)" in written


# What it writes


def test_the_folder_holds_all_findings_a_summary_and_pictures(faulty: Path, tmp_path: Path, cytoyolo: Program) -> None:
    done = cytoyolo(*with_images(faulty), "-o", tmp_path / "out")
    assert done.returncode == 1 and f"All findings: {tmp_path / 'out'}" in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        ".cytoyolo.json", "findings.csv", "findings.png", "report.html", "summary.json",
    }  # fmt: skip
    made = audit(faulty / "labels.csv", images=faulty / "images", test=faulty / "test.csv")
    written = pd.read_csv(tmp_path / "out" / "findings.csv", dtype=str, keep_default_na=False)
    assert list(written.columns) == COLUMNS
    expected = made.findings.rename(columns={"image": "NAME"})
    expected["line"] = ["" if line is None else str(line) for line in made.findings["line"]]
    assert written.to_dict("records") == expected.to_dict("records")
    with Image.open(tmp_path / "out" / "findings.png") as sheet:
        assert sheet.format == "PNG" and min(sheet.size) > 200


def test_the_summary_has_figures_fingerprints_and_no_path(faulty: Path, tmp_path: Path) -> None:
    made = audit(faulty / "labels.csv", images=faulty / "images", test=faulty / "test.csv", output=tmp_path / "out")
    text = (tmp_path / "out" / "summary.json").read_text(encoding="utf-8")
    summary = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    assert summary == json.loads(json.dumps(made.summary))
    assert str(faulty) not in text and str(tmp_path) not in text and str(Path.home()) not in text
    assert summary["labels"] == {"name": "labels.csv", "sha256": fingerprint(faulty / "labels.csv"), "rows": 6}
    assert summary["test"] == {"name": "test.csv", "sha256": fingerprint(faulty / "test.csv")}
    assert summary["images"]["read"] == 5  # four of the table's six, and the test's
    assert summary["severities"]["error"] == len(ERRORS)
    assert {row["rule"]: row["findings"] for row in summary["rules"]}["overhang"] == 1
    assert set(summary["settings"]) == set(RULES) and summary["settings"]["near-same"]["iou"] == 0.8


def test_the_fingerprint_of_the_images_tells_another_folder(faulty: Path, tmp_path: Path) -> None:
    shutil.copytree(faulty / "images", tmp_path / "images")
    audits = [audit(faulty / "sound.csv", images=folder) for folder in (faulty / "images", tmp_path / "images")]
    assert audits[0].summary["images"] == audits[1].summary["images"]
    (tmp_path / "images" / "a.jpg").write_bytes(picture(9))
    changed = audit(faulty / "sound.csv", images=tmp_path / "images").summary["images"]
    assert changed["read"] == 2 and changed["sha256"] != audits[0].summary["images"]["sha256"]
    assert images_fingerprint([]) not in (changed["sha256"], audits[0].summary["images"]["sha256"])


def test_without_images_there_are_no_pictures(faulty: Path, tmp_path: Path) -> None:
    made = audit(faulty / "labels.csv", output=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".cytoyolo.json", "findings.csv", "report.html", "summary.json",
    ]  # fmt: skip
    assert made.summary["images"] is None and made.summary["test"] is None


def test_json_holds_all_that_the_folder_does(faulty: Path, cytoyolo: Program) -> None:
    done = cytoyolo(*with_images(faulty), "--json")
    assert done.returncode == 1
    printed = json.loads(done.stdout, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    made = audit(faulty / "labels.csv", images=faulty / "images", test=faulty / "test.csv")
    findings = printed.pop("findings")
    assert printed == json.loads(json.dumps(made.summary))
    assert len(findings) == len(made.findings)
    assert [one["line"] for one in findings if one["rule"] == "leak"] == [7]
    assert {one["line"] for one in findings if one["rule"] == "rare-class"} == {None}


def test_a_second_audit_gives_the_same_bytes_warm_or_cold(
    faulty: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def findings(name: str) -> bytes:
        inputs = {"images": faulty / "images", "test": faulty / "test.csv"}
        audit(faulty / "labels.csv", **inputs, output=tmp_path / name)
        return b"".join((tmp_path / name / file).read_bytes() for file in ("findings.csv", "summary.json"))

    cold = findings("cold")
    assert any((home / "facts").iterdir())
    assert findings("warm") == cold
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path / "elsewhere"))
    assert findings("another") == cold


@pytest.mark.parametrize("content", [b"SQLite format 3\0 no more", b"notes of mine"], ids=["damaged", "something else"])
def test_a_damaged_cache_is_begun_anew_and_said(content: bytes, faulty: Path, home: Path, cytoyolo: Program) -> None:
    call = ("audit", faulty / "sound.csv", "--images", faulty / "images", "--json")
    first = cytoyolo(*call)
    (cache,) = (home / "facts").iterdir()
    cache.write_bytes(content)
    again = cytoyolo(*call)
    assert again.stdout == first.stdout and again.returncode == 0
    assert "begun anew" in again.stderr and "Traceback" not in again.stderr


def test_the_inputs_stay_as_they_are(faulty: Path, tmp_path: Path) -> None:
    before = state(faulty)
    for number in range(2):
        inputs = {"images": faulty / "images", "test": faulty / "test.csv"}
        audit(faulty / "labels.csv", **inputs, output=tmp_path / f"out{number}")
    assert state(faulty) == before


# Rules and their settings


def test_the_rules_are_listed_each_with_its_words(cytoyolo: Program) -> None:
    done = cytoyolo("audit", "--rules")
    assert (done.returncode, done.stderr) == (0, "")
    named = [line.split("  (")[0] for line in done.stdout.splitlines() if not line.startswith("    ")]
    assert named == list(RULES)
    for rule in RULES.values():
        assert f"    {rule.text}\n" in done.stdout
    assert "overhang  (warning; clip; kept 0.5)" in done.stdout


def test_the_rules_are_listed_as_json(tmp_path: Path, cytoyolo: Program) -> None:
    assert json.loads(cytoyolo("audit", "--rules", "--json").stdout) == {"rules": rules()}
    (tmp_path / "mine.yaml").write_text("overhang: {severity: error, action: review, kept: 0.25}\n")
    done = cytoyolo("audit", "--rules", "--json", "--config", tmp_path / "mine.yaml")
    changed = {rule["rule"]: rule for rule in json.loads(done.stdout)["rules"]}["overhang"]
    assert (changed["severity"], changed["action"], changed["thresholds"]) == ("error", "review", "kept 0.25")


def test_a_config_changes_severity_action_and_threshold(faulty: Path, tmp_path: Path, cytoyolo: Program) -> None:
    (tmp_path / "mine.yaml").write_text(
        "overhang: {severity: error, action: review, kept: 0.99}\nclass-variant: {severity: info, action: drop}\n"
        "mostly-outside: {kept: 0.99}\ninverted: {severity: info}\n"
    )
    done = cytoyolo("audit", faulty / "labels.csv", "--json", "--config", tmp_path / "mine.yaml")
    assert done.returncode == 0  # errors have become notes, and the box keeps less than 0.99
    found = {one["rule"]: one for one in json.loads(done.stdout)["findings"]}
    assert (found["class-variant"]["severity"], found["class-variant"]["action"]) == ("info", "drop")
    assert "overhang" not in found and found["mostly-outside"]["line"] == 7
    assert json.loads(done.stdout)["settings"]["overhang"] == {"severity": "error", "action": "review", "kept": 0.99}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must map names of rules to their settings"),
        ("[1]", "must map names of rules to their settings"),
        ("nothing: {}", "there is no rule 'nothing'"),
        ("leak: 3", "'leak' must map settings to values"),
        ("leak: {action: fly}", "'action' of 'leak' is 'fly'; give one of drop, review, keep, stop, off."),
        ("leak: {severity: bad}", "'severity' of 'leak' is 'bad'; give one of error, warning, info."),
        ("leak: {iou: 3}", "'leak' has no setting 'iou' (it has severity, action); correct it."),
        ("near-same: {iou: -1}", "'iou' of 'near-same' is -1; give a number from 0 to 1."),
        ("tiny-side: {low: 8}", "'low' of 'tiny-side' is 8, and 'high' is 8; give a lower 'low'."),
        ("near-same: {iou: .nan}", "'iou' of 'near-same' is nan"),
        ("near-same: {iou: true}", "'iou' of 'near-same' is True"),
        ("schema: {action: keep}", "'action' of 'schema' is 'keep'; give one of stop."),
        ("exif-orientation: {action: keep}", "give one of bake, drop, stop, off."),
        ("near-same: [", "is not valid YAML (line 1"),
    ],
)
def test_a_config_that_makes_no_sense_is_one_sentence(text: str, words: str, faulty: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(CytoyoloError, match=re.escape(words)) as refused:
        audit(faulty / "labels.csv", config=tmp_path / "mine.yaml")
    assert refused.value.exit_code == 1 and "\n" not in str(refused.value)


def test_a_percentile_over_100_is_one_sentence(faulty: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("many-boxes: {percentile: 101}\n")
    with pytest.raises(CytoyoloError, match="percentile"):
        audit(faulty / "labels.csv", config=tmp_path / "mine.yaml")


@pytest.mark.parametrize("word", ["off", "'off'"])
def test_a_rule_that_is_off_is_not_asked(word: str, faulty: Path, tmp_path: Path, cytoyolo: Program) -> None:
    (tmp_path / "mine.yaml").write_text(f"class-variant: {{action: {word}}}\n")
    before, made = audit(faulty / "labels.csv"), audit(faulty / "labels.csv", config=tmp_path / "mine.yaml")
    assert "class-variant" in set(before.findings["rule"]) and "class-variant" not in set(made.findings["rule"])
    assert made.not_run["class-variant"] == "switched off"
    assert made.summary["settings"]["class-variant"]["action"] == "off"
    done = cytoyolo("audit", faulty / "labels.csv", "--config", tmp_path / "mine.yaml")
    assert "Rules not applied (switched off): 1." in done.stderr


# Bad inputs


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (HEADER.encode(), "has a header but no rows"),
        (b'{"images": [], "annotations": [], "categories": []}', "is a file of COCO annotations (JSON), not a table"),
        (b"<annotation><filename>a.jpg</filename></annotation>", "is an annotation in Pascal VOC's XML"),
        (HEADER.encode() + b"a\0.jpg,1,2,30,40,PNN\n", "holds a NUL byte in line 2"),
        (HEADER.encode() + b"\x82.jpg,1,2,30,40,PNN\n", "line 2, is not UTF-8"),
        (b"NAME,x1,y1,x2,y2\na.jpg,1,2,30,40\n", "needs the columns NAME,x1,y1,x2,y2,class"),
        (PNG, "is a PNG image, not a table; give a CSV with the columns NAME,x1,y1,x2,y2,class"),
    ],
    ids=["empty", "header only", "COCO", "VOC", "NUL", "DOS", "column missing", "picture"],
)
def test_a_file_that_is_no_table_is_a_finding(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    made = audit(tmp_path / "t.csv", output=tmp_path / "out")
    (finding,) = made.findings.to_dict("records")
    assert (finding["rule"], finding["severity"], finding["action"]) == ("schema", "error", "stop")
    assert words in finding["detail"] and made.errors == 1
    assert len(made.not_run) == len(RULES) - 1
    assert len(pd.read_csv(tmp_path / "out" / "findings.csv")) == 1


def test_a_file_that_is_no_table_is_exit_code_1(tmp_path: Path, cytoyolo: Program) -> None:
    (tmp_path / "t.csv").write_bytes(b"")
    done = cytoyolo("audit", tmp_path / "t.csv")
    assert done.returncode == 1 and "t.csv: 0 rows; 1 error, " in done.stdout
    assert "Rules not applied (the file is not a table)" in done.stderr


def test_the_findings_of_a_file_that_is_no_table_hold_no_path(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"")
    audit(tmp_path / "t.csv", output=tmp_path / "out")
    assert str(tmp_path) not in (tmp_path / "out" / "findings.csv").read_text()


def test_the_form_of_a_table_is_said_by_findings(tmp_path: Path) -> None:
    rows = ["a.jpg;20,5;25;90;100;PNN;x", "", "b.jpg;-2;25;90;100;EO;", ";;;;;;"]
    (tmp_path / "t.csv").write_bytes("\n".join([HEADER.replace(",", ";").strip() + ";note", *rows]).encode("utf-8-sig"))
    made = audit(tmp_path / "t.csv")
    findings = made.findings
    assert made.summary["labels"]["rows"] == 2
    said = findings[findings["rule"] == "table-form"]
    assert said["detail"].tolist() == [
        *["semicolons stand between the columns", "decimals have a comma", "columns are not used (note)"],
        "an empty line is skipped",
    ]
    assert set(said["severity"]) == {"info"}
    others = findings[~findings["rule"].isin(["table-form", "rare-class"])]
    assert list(zip(others["line"], others["rule"], strict=True)) == [(4, "overhang"), (2, "fractional")]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("a.jpg,1,2,30", "broken-row"),
        ('"a.jpg,1,2,30,40,PNN', "broken-row"),
        (",1,2,30,40,PNN", "blank"),
        ("../d.jpg,1,2,30,40,PNN", "path"),
        ("a.jpg,nan,2,30,40,PNN", "number"),
        ("a.jpg,1,2,30,1e308,PNN", "number"),
        ("a.jpg,1,2,30,40,Pnn", "class-variant"),
        ("a.jpg,1,2,30,40,XYZ", "unknown-class"),
    ],
)
def test_one_bad_row_is_one_finding_with_its_line(row: str, rule: str, tmp_path: Path) -> None:
    rows = ["a.jpg,20,25,90,100,PNN", "b.jpg,20,25,90,100,EO", row, "c.jpg,-4,25,90,100,EO"]
    (tmp_path / "t.csv").write_text(HEADER + "\n".join(rows) + "\n")
    findings = audit(tmp_path / "t.csv").findings
    errors = findings[findings["severity"] == "error"]
    assert list(zip(errors["line"], errors["rule"], strict=True)) == [(4, rule)]
    assert findings["line"][findings["rule"] == "overhang"].tolist() == [5]


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        ({"labels": "nothing.csv"}, 2, "nothing.csv: no such file"),
        ({"labels": "images"}, 2, "images is a folder; give a file."),
        ({"images": "nothing"}, 2, "nothing: no such image folder; check `images`."),
        ({"images": "labels.csv"}, 2, "no such image folder"),
        ({"images": "empty"}, 1, "is an empty folder"),
        ({"test": "nothing.csv"}, 2, "nothing.csv: no such file"),
        ({"test": "images"}, 2, "is a folder; give a file."),
        ({"test": "sound.csv"}, 1, "sound.csv needs the columns"),
        ({"config": "nothing"}, 2, "nothing: no such file; check the path."),
        ({"output": "images"}, 2, "exists; give another folder or overwrite=True."),
        ({"output": "labels.csv"}, 2, "is a file; give the name of a folder."),
        ({"output": "labels.csv/out"}, 2, "is a file"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_sentence(
    call: dict[str, str], code: int, words: str, faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(faulty, tmp_path / "lab")
    (tmp_path / "lab" / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "lab")
    before = state(tmp_path)
    with pytest.raises(CytoyoloError, match=re.escape(words)) as refused:
        audit(**{"labels": "labels.csv", **call})
    assert refused.value.exit_code == code and "\n" not in str(refused.value)
    assert state(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 2, "audit needs a label table"),
        (["{}/nothing.csv"], 2, "nothing.csv: no such file"),
        (["{}/labels.csv", "--dataset", "nothing"], 2, "'nothing' is not a data set"),
        (["{}/labels.csv", "-o", "{}/images", "--overwrite"], 2, "holds files this tool did not make"),
        (["{}/labels.csv", "--overwrite"], 2, "--overwrite needs -o"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_of_the_program(
    options: list[str], code: int, words: str, faulty: Path, cytoyolo: Program
) -> None:
    before = state(faulty)
    assert_refused(cytoyolo("audit", *(option.format(faulty) for option in options)), code, words)
    assert state(faulty) == before


def test_a_folder_is_replaced_only_on_request(faulty: Path, tmp_path: Path) -> None:
    audit(faulty / "labels.csv", output=tmp_path / "out")
    with pytest.raises(UsageError, match="exists"):
        audit(faulty / "sound.csv", output=tmp_path / "out")
    audit(faulty / "sound.csv", output=tmp_path / "out", overwrite=True)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["labels"]["name"] == "sound.csv"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), SystemExit(143)])
def test_a_failure_midway_leaves_what_was_there(
    error: BaseException, faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit(faulty / "labels.csv", output=tmp_path / "out")
    before = state(tmp_path)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("cytoyolo.commands.audit.draw_sheet", fail)
    for output in ("out", "new"):
        with pytest.raises(type(error)):
            audit(faulty / "labels.csv", images=faulty / "images", output=tmp_path / output, overwrite=True)
    assert state(tmp_path) == before and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_image_whose_name_is_not_utf8_is_a_finding(faulty: Path, tmp_path: Path, cytoyolo: Program) -> None:
    shutil.copytree(faulty / "images", tmp_path / "images")
    try:
        shutil.copy(faulty / "images" / "a.jpg", os.fsencode(tmp_path / "images") + b"/z\xe9.jpg")
    except OSError:
        pytest.skip("this disk takes UTF-8 names only")
    done = cytoyolo("audit", faulty / "sound.csv", "--images", tmp_path / "images", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr


def test_no_file_outside_the_image_folder_is_read_for_the_test_table(
    faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *args, **more: opened.append(path) or real(path, *args, **more))
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "test.csv").write_text(f"{TEST_HEADER}1,{tmp_path / 'secret.txt'}\n2,../sound.csv\n")
    opened.clear()
    audit(faulty / "labels.csv", images=faulty / "images", test=tmp_path / "test.csv")
    outside = [path for path in opened if path.parent != faulty / "images" and path.name in ("secret.txt", "sound.csv")]
    assert outside == []


def test_a_test_table_that_is_no_table_is_not_a_finding_of_the_labels(
    faulty: Path, tmp_path: Path, cytoyolo: Program
) -> None:
    (tmp_path / "test.csv").write_bytes(b"")
    done = cytoyolo("audit", faulty / "sound.csv", "--test", tmp_path / "test.csv")
    assert_refused(done, 1, "test.csv is empty")


def test_a_test_table_whose_path_begins_as_that_of_the_labels(faulty: Path, tmp_path: Path) -> None:
    shutil.copy(faulty / "sound.csv", tmp_path / "t.csv")
    (tmp_path / "t.csv.test").write_bytes(b"")
    with pytest.raises(CytoyoloError, match="is empty"):
        audit(tmp_path / "t.csv", test=tmp_path / "t.csv.test")


# Real tables


def test_the_challenges_table_alone(shared: Path, tmp_path: Path, cytoyolo: Program) -> None:
    done = cytoyolo("audit", shared / "cytologia" / "train.csv", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    findings = pd.read_csv(tmp_path / "out" / "findings.csv", keep_default_na=False)
    overhang = findings[findings["rule"] == "overhang"]
    assert len(overhang) == 356
    assert all(any(float(value) < 0 for value in box.split(",")) for box in overhang["value"])
    table = pd.read_csv(shared / "cytologia" / "train.csv")
    negative = (table[["x1", "y1", "x2", "y2"]] < 0).any(axis=1)
    assert (overhang["line"].astype(int) - 2).tolist() == table.index[negative].tolist()
    assert set(findings["severity"]) == {"warning", "info"}


@pytest.mark.parametrize(("name", "errors"), [("wbc5", 7), pytest.param("pbc3", 182, marks=pytest.mark.slow)])
def test_real_sets_with_their_images(name: str, errors: int, shared: Path, tmp_path: Path) -> None:
    source = shared / name
    table = (source / "train.csv").read_bytes()
    inputs = {"images": source / "images", "test": source / "test.csv", "dataset": name}
    made = audit(source / "train.csv", **inputs, output=tmp_path / "out")
    assert made.errors == errors and made.not_run == {}
    counts = dict(zip(made.counts["rule"], made.counts["findings"], strict=True))
    assert counts["leak"] == {"wbc5": 6, "pbc3": 39}[name]
    assert "missing-image" not in counts and "unreadable" not in counts
    assert (source / "train.csv").read_bytes() == table
    with Image.open(tmp_path / "out" / "findings.png") as sheet:
        assert sheet.size[0] == 6 * 240

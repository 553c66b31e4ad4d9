"""`cytoyolo review`: it goes on after an interrupt, refuses what doesn't belong together, and exports decisions."""

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import cytoyolo
from cytoyolo.commands.review_cells import begin_cells
from cytoyolo.commands.review_inputs import begin_labels, check_same_groups
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.reviewing.decisions import Draft, Outcome, Refused
from cytoyolo.reviewing.items import Item
from cytoyolo.reviewing.store import Store, create
from tests.predicted_tables import SPEC as CURATED
from tests.predicted_tables import crossvalidated, oof_text
from tests.program import PROGRAM
from tests.reviewing import SPEC, made_gallery, made_review, opened_review, painted


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "labels.csv").write_text(painted(tmp_path / "images", 6))
    return tmp_path


class Running:
    """A running `cytoyolo review`: what it said, and its page, as a browser sees it."""

    def __init__(self, process: "subprocess.Popen[str]", said: str) -> None:
        self.process, self.said = process, said
        self.url = re.search(r"http://\S+token=\S+", said)[0]
        with urllib.request.urlopen(self.url) as answer:
            cookie = SimpleCookie(answer.headers["set-cookie"])
        self.cookie = "; ".join(f"{name}={value.value}" for name, value in cookie.items())

    def decide(self, **content: Any) -> Any:
        origin = self.url.partition("/?")[0]
        headers = {"origin": origin, "content-type": "application/json", "cookie": self.cookie}
        request = urllib.request.Request(f"{origin}/api/decide", json.dumps(content).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


@contextmanager
def running(place: Path, *arguments: object) -> Iterator[Running]:
    words = [PROGRAM, "review", *map(str, arguments), "--no-browser", "--port", "19765"]
    process = subprocess.Popen(words, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = ""
    try:
        for line in process.stderr:
            said += line
            if "Ctrl-C" in line:
                break
        assert "Ctrl-C" in said, said
        yield Running(process, said)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_review_goes_on_and_its_export_is_applied_and_undone(place: Path, cytoyolo: Any) -> None:
    call = ("labels.csv", "--images", "images", "--dataset", "wbc5", "--reviewer", "Ann", "-o", "mine.sqlite")
    with running(place, *call) as first:
        assert first.decide(kind="change", subject="row:0", **{"class": "LY"})["progress"]["decided"] == 1
        second = cytoyolo("review", place / "mine.sqlite", "--no-browser", "--images", place / "images")
        assert second.returncode == 1 and "another process is at work" in second.stderr
        assert first.decide(kind="delete", subject="row:1")["progress"]["decided"] == 2
        with running(place, "labels.csv", "--images", "images", "--dataset", "wbc5") as other:
            assert "Port 19765 is in use; the page is at port 19766." in other.said
    with running(place, *call) as again:
        assert again.decide(kind="change", subject="row:2", box=[20, 31, 80, 90])["progress"]["decided"] == 3
    made = cytoyolo("review", place / "mine.sqlite", "--export", place / "changes.csv", "--json")
    result = json.loads(made.stdout)
    assert made.returncode == 0 and result["reviewers"] == [{"reviewer": "Ann", "decided": 3, "skipped": 0, "left": 9}]
    log = pd.read_csv(place / "changes.csv", dtype=str)
    assert log["reviewer"].tolist()[1:] == ["Ann"] * 3 and log["time"].iloc[1:].str.match(r"\d{4}-\d\d-\d\dT").all()
    applied = cytoyolo("apply", place / "labels.csv", place / "changes.csv", "-o", place / "new.csv")
    assert applied.returncode == 0
    lines = (place / "labels.csv").read_text().splitlines()
    expected = [lines[0], lines[1].replace(",BA", ",LY"), "1.png,20,31,80,90,EO", *lines[4:]]
    assert (place / "new.csv").read_text().splitlines() == expected
    assert cytoyolo("undo", place / "new.csv", place / "changes.csv").stdout == (place / "labels.csv").read_text()


def test_a_table_that_was_changed_is_refused_and_nothing_is_lost(place: Path, cytoyolo: Any) -> None:
    path = made_review(place / "r", 4)
    store = Store(path)
    store.decide("ann", [Draft("delete", "row:0", "0.png", Outcome("gone"))])
    store.close()
    table = path.parent / "labels.csv"
    before = table.read_bytes()
    table.write_bytes(before + b"3.png,1,1,9,9,LY\n")
    refused = cytoyolo("review", table, "-o", path, "--no-browser")
    assert refused.returncode == 1 and "has changed since the review" in refused.stderr
    assert "--export changes.csv" in refused.stderr
    (path.parent / "other.csv").write_bytes(before + b"3.png,1,1,9,9,MO\n")
    other = cytoyolo("review", path.parent / "other.csv", "-o", path, "--no-browser")
    assert other.returncode == 2 and "which is not the same as" in other.stderr and "another name" in other.stderr
    assert cytoyolo("review", path, "--export", path.parent / "log.csv").returncode == 0
    kept = path.parent / "log.reviewed-table.csv"
    assert kept.read_bytes() == before
    (path.parent / "log2.reviewed-table.csv").write_text("mine")
    foreign = cytoyolo("review", path, "--export", path.parent / "log2.csv")
    assert foreign.returncode == 2 and "log2.reviewed-table.csv exists" in foreign.stderr
    assert (path.parent / "log2.reviewed-table.csv").read_text() == "mine"
    assert not (path.parent / "log2.csv").exists()
    assert cytoyolo("apply", kept, path.parent / "log.csv").stdout.encode() == before.replace(
        before.splitlines(True)[1], b""
    )


def test_conflicts_are_listed_and_the_exit_code_is_1(tmp_path: Path, cytoyolo: Any) -> None:
    path = made_review(tmp_path, 4)
    store = Store(path)
    for name, code in (("ann", "LY"), ("bob", "MO")):
        store.decide(name, [Draft("change", "row:0", "0.png", Outcome("label", code))])
    store.decide("bob", [Draft("add", "new:0", "1.png", Outcome("label", "LY", (90, 120, 110, 140)))])
    for number, (name, code) in enumerate((("ann", "LY"), ("bob", "MO"))):  # the same cell under two numbers
        store.decide(name, [Draft("add", f"new:{number}", "0.png", Outcome("label", code, (90, 120, 110, 140)))])
    store.close()
    made = cytoyolo("review", path, "--export", tmp_path / "log.csv")
    assert made.returncode == 1 and "disagree on 2" in made.stdout
    listed = pd.read_csv(tmp_path / "log.conflicts.csv", dtype=str)
    assert listed[["line", "reviewer", "class"]].to_numpy().tolist()[:2] == [["2", "ann", "LY"], ["2", "bob", "MO"]]
    assert listed["conflict"].tolist() == ["1", "1", "2", "2"]
    assert len(pd.read_csv(tmp_path / "log.csv")) == 2
    refused = cytoyolo("review", path, "--export", tmp_path / "log.csv", "--reviewer", "ann")
    assert refused.returncode == 2 and "exists" in refused.stderr
    alone = cytoyolo("review", path, "--export", tmp_path / "log.csv", "--reviewer", "ann", "--overwrite")
    assert alone.returncode == 0 and not (tmp_path / "log.conflicts.csv").exists()
    nobody = cytoyolo("review", path, "--export", tmp_path / "x.csv", "--reviewer", "eve")
    assert nobody.returncode == 2 and "holds no decision of 'eve'; its reviewers are ann, bob" in nobody.stderr


def test_an_audit_gives_the_items(place: Path) -> None:
    text = (place / "labels.csv").read_text().replace("0.png,20,30,80,90", "0.png,80,30,20,90")
    (place / "labels.csv").write_text(text)
    cytoyolo.audit(place / "labels.csv", images=place / "images", dataset="wbc5", output=place / "audit")
    about, items = begin_labels(place / "labels.csv", place / "images", place / "audit", None, SPEC)
    assert items[0].subject == "row:0" and items[0].suggestion == Outcome("label", "", (20, 30, 80, 90))
    assert about.examples["LY"] and about.findings.endswith("audit")
    (place / "labels.csv").write_text(text + "5.png,1,1,20,20,LY\n")
    with pytest.raises(CytoyoloError, match="an audit of another table"):
        begin_labels(place / "labels.csv", place / "images", place / "audit", None, SPEC)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n", "not a table of findings"),
        ("line,NAME,rule,value,action,detail\n99,0.png,spurious,,mask,x\n", "line 2: the table has no line '99'"),
        ("line,NAME,rule,value,action,detail\nx,0.png,spurious,,mask,x\n", "has no line 'x'"),
        ("line,NAME,rule,value,action,detail\n", "leaves nothing to decide"),
        ("line,NAME,rule,value,action,detail\n,0.png,overlooked,1;2,mask,x\n", "is not a box"),
        ("", "not a table of findings"),
    ],
)
def test_findings_that_do_not_fit_are_refused(place: Path, content: str, words: str) -> None:
    (place / "f.csv").write_text(content)
    with pytest.raises(CytoyoloError, match=words):
        begin_labels(place / "labels.csv", place / "images", place / "f.csv", None, SPEC)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.suggestions.csv", "a,b\n1,2\n", "c.suggestions.csv lacks the columns line; suggested"),
        ("c.suggestions.csv", "line,NAME,suggested\n2,1.png,LY\n", "c.suggestions.csv, line 2: the image is '1.png'"),
        ("c.scores.csv", "line,NAME,class,score\n2,0.png,MO,0.5\n", "c.scores.csv, line 2: the class is 'MO'"),
        ("c.suggestions.csv", "line,suggested\n,LY\n", "c.suggestions.csv, line 2: the table has no line ''"),
        ("c.suggestions.csv", "line,suggested\n99,LY\n", "c.suggestions.csv, line 2: the table has no line '99'"),
        ("c.scores.csv", "line,score\n2,high\n", "c.scores.csv, line 2: score is 'high', and not a number"),
        ("c.changes.csv", "a\n1\n", "c.changes.csv is not a change log"),
    ],
)
def test_tables_beside_the_findings_are_checked_too(place: Path, name: str, content: str, words: str) -> None:
    (place / "c.findings.csv").write_text("line,NAME,rule,value,action,detail\n2.0,0.png,wrong-class,0.9,review,x\n")
    given = (place / "labels.csv", place / "images", place / "c.findings.csv", None, SPEC)
    assert begin_labels(*given)[1][0].subject == "row:0"  # 2.0 is a line, as a spreadsheet may write it
    (place / name).write_text(content)
    with pytest.raises(CytoyoloError, match=re.escape(words)):
        begin_labels(*given)


FINDING = "line,NAME,rule,value,action,detail\n"
SCORED = "rank,line,NAME,class,score,predicted,findings\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.findings.csv", FINDING + '4,1.png,wrong-class,"20,31,80,91",review,x\n', ""),
        ("c.findings.csv", FINDING + "4,images\\1.PNG,wrong-class,,review,x\n", ""),
        ("c.findings.csv", FINDING + "4,2.png,wrong-class,,review,x\n", "the image is '2.png', but line 4 of the"),
        ("c.findings.csv", FINDING + "4,9.png,wrong-class,,review,x\n", "the image is '9.png', but line 4 of the"),
        ("c.findings.csv", FINDING + '4,1.png,loose-box,"20,31,80,91.0",replace,x\n', ""),
        (
            "c.findings.csv",
            FINDING + '2,0.png,x,,review,x\n4,1.png,loose-box,"110,31,170,91",replace,x\n',
            "c.findings.csv, line 3: the box is '110,31,170,91', but line 4 of the table has '20,31,80,91'; give the",
        ),
        ("c.scores.csv", SCORED + "1,4,1.png,EO,0.1,LY,\n", ""),
        ("c.scores.csv", SCORED + "1,4,0.png,EO,0.1,LY,\n", "line 2: the image is '0.png', but line 4 of the table"),
        ("c.scores.csv", SCORED + "1,4,1.png,BA,0.1,LY,\n", "line 2: the class is 'BA', but line 4 of the table has"),
        (
            "audit.csv",
            "line,image,rule,severity,value,action,detail\n4,0.png,tiny,error,,drop,x\n",
            "line 2: the image is '0.png', but line 4 of the table has '1.png'",
        ),
    ],
)
def test_findings_about_another_table_are_refused(place: Path, name: str, content: str, words: str) -> None:
    (place / name).write_text(content)
    given = (place / "labels.csv", place / "images", place / name, None, SPEC)
    if not words:
        assert [item.subject for item in begin_labels(*given)[1]] == ["row:2"]
        return
    with pytest.raises(CytoyoloError, match=re.escape(words)):
        begin_labels(*given)


def test_wrong_calls_are_told(place: Path) -> None:
    path = made_review(place / "r", 2)
    (place / "groups.csv").write_text("NAME,group\n0.png,slide 1\n")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"source": place / "nosuch.csv"}, "no such file"),
        ({"source": place / "images"}, "holds no detections.csv"),
        ({"source": place / "labels.csv"}, "`images` is missing"),
        ({"source": path, "output": place / "x"}, "is a review already"),
        ({"source": place / "labels.csv", "output": place / "labels.csv"}, "is not a review"),
        ({"source": path, "overwrite": True}, "a review is never replaced"),
        ({"source": path, "password": "long enough"}, "give host as well"),
        ({"source": path, "host": "0.0.0.0", "password": "long enough"}, "one address"),
        ({"source": path, "reviewer": "a;b"}, "without semicolons"),
        ({"source": path, "export": path}, "is also an input"),
        ({"source": place / "labels.csv", "export": place / "c.csv"}, "no such review"),
        ({"source": path, "groups": place / "groups.csv"}, "has other groups than"),
        ({"source": path, "port": 0}, "port=0"),
    ]
    for call, words in wrong:
        with pytest.raises(UsageError, match=re.escape(words)):
            cytoyolo.review(**call, browser=False)


@pytest.mark.parametrize(("kind", "left"), [("accept", 4), ("delete", 4), ("keep", 5), ("skip", 5), ("comment", 5)])
def test_a_broken_row_is_decided_as_repair_does(tmp_path: Path, kind: str, left: int) -> None:
    item = Item("row:4", "", ("broken-row",), ("fewer than 6 columns",), Outcome("gone"))
    path = made_review(tmp_path, 2, [item], "1.png,7\n")
    made = opened_review(path)
    for change in ({"kind": "change", "class": "LY"}, {"kind": "ignore"}):
        with pytest.raises(Refused, match="line 6 can't be read as a row of the table; delete it, keep it, or"):
            made.desk.decide("ann", {**change, "subject": "row:4"})
    made.desk.decide("ann", {"kind": kind, "subject": "row:4", "comment": "?"})
    assert made.desk.progress("ann")["left"] == (kind == "comment")
    made.store.close()
    labels = tmp_path / "labels.csv"
    cytoyolo.review(path, export=tmp_path / "decided.csv")
    cytoyolo.apply(labels, tmp_path / "decided.csv", output=tmp_path / "new.csv")
    lines = (tmp_path / "new.csv").read_text().splitlines()
    assert lines == labels.read_text().splitlines()[: left + 1]
    cytoyolo.repair(labels, output=tmp_path / "repaired.csv", dataset="wbc5")
    assert ((tmp_path / "repaired.csv").read_text().splitlines() == lines) == (left == 4)


@pytest.mark.parametrize("kind", ["change", "ignore", "delete", "comment"])
def test_a_drawn_label_that_was_deleted_is_not_decided_again(tmp_path: Path, kind: str) -> None:
    made = opened_review(made_review(tmp_path, 1))
    made.desk.decide("ann", {"kind": "add", "class": "LY", "box": [5, 100, 30, 130], "image": "0.png"})
    made.desk.decide("ann", {"kind": "delete", "subject": "new:0"})
    with pytest.raises(Refused, match="this drawn cell was deleted"):
        made.desk.decide("ann", {"kind": kind, "subject": "new:0", "class": "MO", "comment": "?"})
    made.store.close()


@pytest.mark.parametrize("source", ["labels.csv", "results"])
def test_a_review_goes_on_with_its_groups(place: Path, source: str) -> None:
    folder, groups = made_gallery(place / "g", 6).parent, place / "groups.csv"
    names = ["0.png", "1.png", "5.png"] if source == "labels.csv" else ["s1/0.png", "s2/0.png"]
    groups.write_text("\n".join(["NAME,group", *(f"{name},A" for name in names), ""]))
    path = place / "made.sqlite"
    if source == "labels.csv":
        create(path, *begin_labels(place / source, place / "images", None, groups, SPEC))
    else:
        create(path, begin_cells(folder / source, folder / "images", groups, "wbc5"), [])
    store = Store(path)
    check_same_groups(store, groups)
    for change in (groups.read_text().replace(",A", ",B", 1), groups.read_text() + "s1/1.png,A\n2.png,A\n"):
        groups.write_text(change)
        with pytest.raises(UsageError, match=r"has other groups than .*groups\.csv gives"):
            check_same_groups(store, groups)
    store.close()


def test_a_new_review_says_once_how_its_groups_fit(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = made_gallery(place / "g", 6).parent
    (place / "groups.csv").write_text("NAME,group\ns1/0.png,A\ngone.png,B\n")
    monkeypatch.setattr("cytoyolo.commands.review._serve", lambda *_: None)
    given = {"images": folder / "images", "groups": place / "groups.csv", "dataset": "wbc5", "browser": False}
    for _ in range(2):
        caplog.clear()
        with caplog.at_level("INFO", "cytoyolo"):
            cytoyolo.review(folder / "results", **given)
        assert caplog.text.count("images without a group") == caplog.text.count("'gone.png'") == 1


@pytest.mark.parametrize("source", ["labels.csv", "results"])
@pytest.mark.parametrize(
    "call",
    [
        {"images": "nowhere"},
        {"port": 70_000},
        {"host": "203.0.113.7", "password": "long enough"},
        {"groups": "nowhere.csv"},
    ],
)
def test_a_wrong_call_leaves_no_review(place: Path, source: str, call: dict[str, Any]) -> None:
    (place / "results").mkdir()
    (place / "results" / "detections.csv").write_text(
        "NAME,x1,y1,x2,y2,class,confidence,second_class,margin\n0.png,20,30,80,90,LY,0.9,MO,0.1\n"
    )
    given = {"images": place / "images", "dataset": "wbc5", "browser": False} | call
    for name in ("images", "groups"):
        if name in call:
            given[name] = place / call[name]
    with pytest.raises(UsageError, match=r"nowhere|port=70000|host='203\.0\.113\.7'"):
        cytoyolo.review(place / source, **given)
    assert not [*place.glob("*.sqlite")]


def test_a_curation_gives_the_items_and_accepting_them_makes_its_boxes(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(30)]
    painted(tmp_path / "images", 30)
    labelled = [f"{name},20,30,80,90,{'pale' if at % 2 else 'dark'}" for at, name in enumerate(names)]
    rows = ["NAME,x1,y1,x2,y2,class", *labelled]
    rows[1] = "0.png,20,30,80,90,pale"  # a wrong class
    rows[2] = "1.png,25,30,140,120,pale"  # a loose box
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    shares = ((0.95, 0.05), (0.05, 0.95))
    found = [(name, at % 2, 200, 160, (20, 30, 80, 90), shares[at % 2]) for at, name in enumerate(names)]
    found.append(("2.png", 0, 200, 160, (110, 32, 170, 92), (0.96, 0.04)))  # a cell without a label
    if CURATED.codes[0] != "dark":
        found = [(*row[:5], row[5][::-1]) for row in found]
    oof = crossvalidated(tmp_path / "CV", (tmp_path / "labels.csv").read_bytes(), oof_text(found))
    table, images = tmp_path / "labels.csv", tmp_path / "images"
    made = cytoyolo.curate(tmp_path / "labels.csv", oof=oof, output=tmp_path / "c.csv", report=False)
    about, items = begin_labels(table, images, tmp_path / "c.findings.csv", None, CURATED)
    by = {item.subject: item for item in items}
    assert items[0].subject == "row:0" and items[0].suggestion == Outcome("label", "dark")
    assert by["row:1"].suggestion == Outcome("label", "", (20, 30, 80, 90))
    cell = next(item for item in items if item.subject.startswith("found:"))
    assert cell.suggestion == Outcome("label", "dark") and cell.box == (110, 32, 170, 92)
    assert about.examples["dark"] and "found:" in cell.subject and len(made.findings) == len(items)
    _, scored = begin_labels(table, images, tmp_path / "c.scores.csv", None, CURATED)
    assert len(scored) == 30 and scored[0].subject in ("row:0", "row:1")
    (tmp_path / "labels.csv").write_text("\n".join(rows[:-1]) + "\n")
    for name in ("c.findings.csv", "c.scores.csv"):
        with pytest.raises(CytoyoloError, match="belongs to another table"):
            begin_labels(table, images, tmp_path / name, None, CURATED)
    # Without the log, rows in another order are known by their images.
    (tmp_path / "c.changes.csv").unlink()
    (tmp_path / "labels.csv").write_text("\n".join(rows[:1] + rows[:0:-1]) + "\n")
    for name in ("c.findings.csv", "c.scores.csv"):
        with pytest.raises(CytoyoloError, match=r"the image is .* but line \d+ of the table has"):
            begin_labels(table, images, tmp_path / name, None, CURATED)

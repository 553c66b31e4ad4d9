"""`compare`: two submissions or two tables of detections, with a truth and without; and what can't be compared."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import cytoyolo
from cytoyolo import Agreement, Comparison, Ranking
from cytoyolo.errors import CytoyoloError, UsageError
from tests.outcomes import assert_refused

Program = Callable[..., subprocess.CompletedProcess[str]]
TRUTH = """trustii_id,NAME,x1,y1,x2,y2,class
1,a.png,10,10,40,40,dark
2,a.png,60,10,90,40,pale
3,b.png,10,10,40,40,dark
4,c.png,10,10,40,40,pale
"""
FIRST = TRUTH.replace("2,a.png,60,10,90,40,pale", "2,a.png,60,10,90,40,dark")
SECOND = TRUTH.replace("3,b.png,10,10,40,40,dark", "3,b.png,10,10,40,40,pale").replace(
    "4,c.png,10,10,40,40", "4,c.png,0,0,0,0"
)
HEADER = "NAME,x1,y1,x2,y2,class,confidence,second_class,margin\n"
FOUND_A = (
    HEADER
    + """a.png,11,10,40,41,dark,0.9,pale,0.8
a.png,60,11,90,40,pale,0.6,dark,0.1
c.png,10,10,40,40,dark,0.5,pale,0.2
"""
)
FOUND_B = (
    HEADER
    + """a.png,11,10,40,41,dark,0.9,pale,0.8
b.png,10,10,40,40,dark,0.3,pale,0.1
c.png,10,10,40,40,pale,0.2,dark,0.1
"""
)


@pytest.fixture
def lab(tmp_path: Path, blobs: Path) -> Path:
    """A folder with a truth, two submissions, two tables of detections, and the data set."""
    contents = {"truth": TRUTH, "first": FIRST, "second": SECOND, "a": FOUND_A, "b": FOUND_B}
    for name, text in contents.items():
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "spec.yaml").write_text((blobs / "spec.yaml").read_text())
    return tmp_path


def compared(lab: Path, truth: str | None, a: str, b: str, **options: object) -> Comparison | Agreement:
    options = {"dataset": lab / "spec.yaml", "replicates": 50, **options}
    return cytoyolo.compare(truth and lab / truth, lab / a, lab / b, **options)  # type: ignore[arg-type]


def test_submissions_are_compared_with_their_truth(lab: Path, cytoyolo: Program) -> None:
    call = ("compare", lab / "truth.csv", lab / "first.csv", lab / "second.csv", "--dataset", lab / "spec.yaml")
    done = cytoyolo(*call, "-o", lab / "out")
    assert done.returncode == 0, done.stderr
    assert "3 images, 4 true cells" in done.stdout and "that only B gets right: 1" in done.stdout
    names = {path.name for path in (lab / "out").iterdir()} - {".cytoyolo.json"}
    assert names == {"report.html", "comparison.json", "figures.csv", "classes.csv", "mcnemar.csv", "cells.csv"}
    cells = pd.read_csv(lab / "out" / "cells.csv", dtype=str)
    assert cells["trustii_id"].tolist() == ["1", "2", "3", "4"]
    # The box 0,0,0,0 is the only row of c.png, so the score gives the cell its class.
    assert cells["right"].tolist() == ["both", "B", "A", "both"]
    scores = [cytoyolo("score", lab / "truth.csv", lab / f"{one}.csv", "--dataset", lab / "spec.yaml", "--json")
              for one in ("first", "second")]  # fmt: skip
    made = json.loads(cytoyolo(*call, "--json").stdout)
    values = {row["figure"]: row for row in made["figures"]}
    for side, one in zip("ab", scores, strict=True):
        score = json.loads(one.stdout)
        assert values["score"][side] == pytest.approx(score["score"], abs=1e-12)
        assert values["macro_f1"][side] == pytest.approx(score["macro_f1"], abs=1e-12)
    assert cytoyolo(*call, "-o", lab / "out").returncode == 2
    assert cytoyolo(*call, "-o", lab / "out", "--overwrite").returncode == 0


def test_detections_are_compared_with_the_true_cells(lab: Path) -> None:
    (lab / "groups.csv").write_text("NAME,group\na.png,s1\nb.png,s1\nc.png,s2\n")
    made = compared(lab, "truth.csv", "a.csv", "b.csv", groups=lab / "groups.csv")
    assert isinstance(made, Comparison)
    # B's cell in c.png is fainter than 0.25.
    assert made.true_cells["a"].tolist() == ["dark", "pale", "(missed)", "dark"]
    assert made.true_cells["b"].tolist() == ["dark", "(missed)", "dark", "(missed)"]
    assert made.true_cells["right"].tolist() == ["both", "A", "B", "neither"]
    assert made.groups["group"].tolist() == ["s1", "s2"]
    fainter = compared(lab, "truth.csv", "a.csv", "b.csv", conf=0.1)
    assert isinstance(fainter, Comparison) and fainter.true_cells["b"].tolist()[3] == "pale"


def test_without_a_truth_the_agreement_is_told(lab: Path, cytoyolo: Program) -> None:
    call = ("compare", lab / "first.csv", lab / "second.csv", "--dataset", lab / "spec.yaml", "-o", lab / "out")
    done = cytoyolo(*call)
    assert done.returncode == 0, done.stderr
    assert "No truth is given" in done.stdout and "4 cells in A, 3 in B" in done.stdout
    assert "whose box has no area, left out: 1." in done.stderr
    names = {path.name for path in (lab / "out").iterdir()} - {".cytoyolo.json"}
    tables = {"figures.csv", "classes.csv", "confusion.csv", "cells.csv"}
    assert names == {"report.html", "agreement.json", "confusion.png", *tables}
    figures = pd.read_csv(lab / "out" / "figures.csv").set_index("figure")["value"]
    assert figures["same_cells"] == 0.75 and figures["same_class"] == pytest.approx(1 / 3)
    detections = compared(lab, None, "a.csv", "b.csv")
    assert isinstance(detections, Agreement)
    assert (detections.cells_a, detections.cells_b) == (3, 2)


@pytest.mark.parametrize(
    ("paths", "options", "code", "words"),
    [
        (("first.csv",), (), 2, "compare takes [TRUTH] A B [C...], and 1 path is given; give two or more"),
        (("truth.csv", "first.csv", "second.csv", "a.csv"), (), 2, "first.csv is a submission, and"),
        (("truth.csv", "first.csv", "a.csv"), (), 2, "is a submission, and"),
        (("truth.csv", *["a.csv"] * 27), (), 2, "compare takes at most 26 results, and 27 are given; give fewer"),
        (("truth.csv", "first.csv", "none.csv"), (), 2, "none.csv: no such file or folder"),
        (("truth.csv", "first.csv", "second.csv"), ("--conf", "0.3"), 2, "--conf is only for detections"),
        (("truth.csv", "a.csv", "b.csv"), ("--conf", "3"), 2, "--conf is 3"),
        (("truth.csv", "a.csv", "spec.yaml"), (), 1, "spec.yaml"),
        (("a.csv", "first.csv", "second.csv"), (), 1, "is a table of detections, not a truth"),
        (("truth.csv", "a.csv", "nan.csv"), (), 1, "confidence is 'nan', not a number from 0 to 1"),
        (("nan.csv", "a.csv"), (), 1, "confidence is 'nan', not a number from 0 to 1"),
        (("truth.csv", "a.csv", "b.csv"), ("--overwrite",), 2, "--overwrite needs -o"),
    ],
)
def test_what_cant_be_compared_is_one_sentence(
    paths: tuple[str, ...], options: tuple[str, ...], code: int, words: str, lab: Path, cytoyolo: Program
) -> None:
    (lab / "nan.csv").write_text(FOUND_B.replace("0.3,", "nan,"))
    done = cytoyolo("compare", *(lab / one for one in paths), *options, "--dataset", lab / "spec.yaml")
    assert_refused(done, code, words)


def test_results_for_other_images_are_refused(lab: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert compared(lab, None, "a.csv", "b.csv").images == 3  # type: ignore[union-attr]
    assert "Images in which only one of" in caplog.text and "has cells: 2." in caplog.text
    (lab / "b.csv").write_text("\n".join(f"s1/{line}" if ".png" in line else line for line in FOUND_B.splitlines()))
    with pytest.raises(CytoyoloError, match=r"no image in common \(such as a\.png and s1/a\.png\)"):
        compared(lab, None, "a.csv", "b.csv")


def test_no_detection_at_all_is_a_result(lab: Path) -> None:
    (lab / "b.csv").write_text(HEADER)
    made = compared(lab, "truth.csv", "a.csv", "b.csv")
    assert isinstance(made, Comparison)
    assert set(made.true_cells["b"]) == {"(missed)"}
    alone = compared(lab, None, "a.csv", "b.csv", output=lab / "out")
    assert isinstance(alone, Agreement) and alone.figures["value"].tolist()[0] == 0


def test_a_truth_without_boxes_has_nothing_to_compare(lab: Path) -> None:
    (lab / "truth.csv").write_text("NAME,x1,y1,x2,y2,class\na.png,,,,,\n")
    made = compared(lab, "truth.csv", "a.csv", "b.csv", output=lab / "out")
    assert isinstance(made, Comparison) and made.cells == 0 and not len(made.true_cells)


def test_numbers_are_checked(lab: Path) -> None:
    with pytest.raises(UsageError, match="replicates=0; give 1 or more"):
        compared(lab, None, "a.csv", "b.csv", replicates=0)


@pytest.mark.slow
def test_several_submissions_are_ranked_and_compared_with_the_first(lab: Path, cytoyolo: Program) -> None:
    call = ("compare", lab / "truth.csv", *(lab / f"{one}.csv" for one in ("first", "second", "truth")))
    done = cytoyolo(*call, "--dataset", lab / "spec.yaml", "-o", lab / "out")
    assert done.returncode == 0, done.stderr
    assert f"A: {lab / 'first.csv'}\nB: {lab / 'second.csv'}\nC: {lab / 'truth.csv'}\n3 images" in done.stdout
    ranking = pd.read_csv(lab / "out" / "ranking.csv")
    assert ranking["result"].tolist() == ["C", "A", "B"] and ranking["rank"].tolist() == [1, 2, 3]
    assert ranking["score"].iloc[0] == 1 and ranking["best"].sum() == pytest.approx(1)
    assert pd.read_csv(lab / "out" / "results.csv")["path"].tolist() == [str(one) for one in call[2:]]
    pair = ("compare", *call[1:4], "--dataset", lab / "spec.yaml", "-o", lab / "pair")
    assert cytoyolo(*pair).returncode == 0
    names = sorted(path.name for path in (lab / "pair").iterdir() if path.name != ".cytoyolo.json")
    assert names == sorted(path.name for path in (lab / "out" / "A-B").iterdir())
    assert "report.html" in names
    assert all((lab / "pair" / name).read_bytes() == (lab / "out" / "A-B" / name).read_bytes() for name in names)
    figures = pd.read_csv(lab / "out" / "figures.csv")
    own = pd.read_csv(lab / "pair" / "figures.csv")
    assert figures[figures["result"] == "B"].drop(columns="result").equals(own)
    told = json.loads(cytoyolo(*call, "--dataset", lab / "spec.yaml", "--json").stdout)
    assert told == json.loads((lab / "out" / "ranking.json").read_text())


def test_several_detections_are_ranked(lab: Path) -> None:
    options = {"dataset": lab / "spec.yaml", "replicates": 50}
    made = cytoyolo.compare(lab / "truth.csv", *(lab / f"{one}.csv" for one in "aba"), **options)  # type: ignore[arg-type]
    assert isinstance(made, Ranking) and made.figure == "macro_f1"
    assert made.ranking["result"].tolist() == ["A", "C", "B"] and made.ranking["rank"].tolist() == [1, 1, 3]
    assert made.ranking["best"].iloc[0] == made.ranking["best"].iloc[1] > 0.2
    pair = compared(lab, "truth.csv", "a.csv", "b.csv")
    assert isinstance(pair, Comparison) and made.comparisons["B"].to_dict() == pair.to_dict()


@pytest.mark.slow
def test_without_a_truth_each_two_are_compared(lab: Path, cytoyolo: Program) -> None:
    paths = [lab / f"{one}.csv" for one in ("first", "second", "truth")]
    call = ("compare", *paths, "--no-truth", "--dataset", lab / "spec.yaml")
    done = cytoyolo(*call, "-o", lab / "out")
    assert done.returncode == 0 and "how far each two results agree" in done.stdout
    shown = [line.split()[1:4:2] for line in done.stdout.splitlines() if line.startswith("│")]
    assert shown == [["A", "B"], ["A", "C"], ["B", "C"]]
    pairs = pd.read_csv(lab / "out" / "pairs.csv")
    assert pairs[["a", "b"]].drop_duplicates().to_numpy().tolist() == [["A", "B"], ["A", "C"], ["B", "C"]]
    alone = compared(lab, None, "second.csv", "truth.csv", replicates=1000)
    assert isinstance(alone, Agreement)
    kept = pairs[(pairs["a"] == "B") & (pairs["b"] == "C")]
    assert kept["value"].tolist() == pytest.approx(alone.figures["value"].tolist())
    assert (lab / "out" / "B-C" / "confusion.png").is_file()
    assert json.loads(cytoyolo(*call, "--json").stdout) == json.loads((lab / "out" / "agreements.json").read_text())
    forgotten = cytoyolo("compare", *(lab / f"{one}.csv" for one in "aba"), "--dataset", lab / "spec.yaml")
    assert "a.csv is a table of detections, and is taken as the truth because it comes first" in forgotten.stderr
    two = cytoyolo("compare", *paths[:2], "--no-truth", "--dataset", lab / "spec.yaml")
    assert two.stdout == cytoyolo("compare", *paths[:2], "--dataset", lab / "spec.yaml").stdout


@pytest.mark.parametrize("with_cells", [0, 1])
def test_results_without_a_cell_need_no_group(lab: Path, with_cells: int) -> None:
    (lab / "groups.csv").write_text("NAME,group\na.png,A\nb.png,B\nc.png,B\n")
    (lab / "none.csv").write_text(HEADER)
    paths = [lab / "none.csv", lab / "none.csv", lab / ("a.csv" if with_cells else "none.csv")]
    options = {"dataset": lab / "spec.yaml", "replicates": 50, "groups": lab / "groups.csv"}
    made = cytoyolo.compare(None, *paths, **options, output=lab / "out")
    assert made.agreements["A", "B"].images == 0 and made.agreements["A", "C"].images == 2 * with_cells
    pair = cytoyolo.compare(None, *paths[:2], **options)
    assert pair.figures["value"].isna().all()

"""What two readers read of one error: a user of the command line and a Python caller."""

import ast
import pickle
import re
from pathlib import Path
from typing import Literal

import pytest

import cytoyolo
from cytoyolo.errors import (
    CytoyoloError,
    UsageError,
    as_typed,
    check_choice,
    either,
    explain,
    option,
    reworded,
)
from cytoyolo.text import listed_by_kind


def forms(error: Exception) -> tuple[str, str]:
    return as_typed(explain(error)[0]), str(error)


@pytest.mark.parametrize(
    ("parameter", "value", "typed", "called"),
    [
        ("boxes", "lose", "--boxes is 'lose'", "boxes='lose'"),
        ("max_loss", -1.5, "--max-loss is -1.5", "max_loss=-1.5"),
        ("output", "a\nb", r"-o is 'a\nb'", r"output='a\nb'"),
    ],
)
def test_a_wrong_value_is_told_as_its_reader_writes_it(parameter, value, typed, called):
    error = UsageError(parameter, value, "give another")
    assert forms(error) == (f"{typed}; give another.", f"{called}; give another.")
    assert (error.parameter, error.value) == (parameter, value)


@pytest.mark.parametrize(
    ("words", "typed", "called"),
    [
        (option("overwrite", True), "--overwrite", "overwrite=True"),
        (option("pictures", False), "--no-pictures", "pictures=False"),
        (option("max_det"), "--max-det", "`max_det`"),
        (option("model", "yolo11n.pt"), "--model yolo11n.pt", "model='yolo11n.pt'"),
        (option("imgsz", 416), "--imgsz 416", "imgsz=416"),
        (either("`cytoyolo info`", "`info()`"), "`cytoyolo info`", "`info()`"),
    ],
)
def test_an_option_in_a_sentence_is_told_as_its_reader_writes_it(words, typed, called):
    error = CytoyoloError(f"out exists; give another folder or {words}.")
    assert forms(error) == (
        f"out exists; give another folder or {typed}.",
        f"out exists; give another folder or {called}.",
    )


def test_a_closed_set_of_words_is_told():
    check_choice("boxes", "all", Literal["all", "none"])
    with pytest.raises(UsageError) as two:
        check_choice("boxes", "lose", Literal["all", "none"])
    with pytest.raises(UsageError) as three:
        check_choice("boxes", "lose", Literal["all", "loose", "none"])
    assert str(two.value) == "boxes='lose'; give all or none."
    assert str(three.value) == "boxes='lose'; give one of all, loose, none."


def test_both_forms_outlive_another_process_and_another_wording():
    error = pickle.loads(pickle.dumps(UsageError("jobs", 0, f"give 1 or more, or {option('device', '0,1')}")))
    assert forms(error) == ("--jobs is 0; give 1 or more, or --device 0,1.", "jobs=0; give 1 or more, or device='0,1'.")
    assert (type(error), error.parameter, error.value) == (UsageError, "jobs", 0)
    with pytest.raises(UsageError) as caught, reworded({option("force", True): option("folds", 3)}):
        raise UsageError(f"give {option('force', True)}.")
    assert forms(caught.value) == ("give --folds 3.", "give folds=3.")


def test_a_sentence_names_the_rare_kinds_of_fault_first():
    kinds = ["cut", *["empty"] * 40, "dark", "empty"]
    items = [f"{place} is {kind}" for place, kind in enumerate(kinds)]
    expected = "0 is cut; 41 is dark; 1 is empty; 2 is empty; 3 is empty; and 38 more of this kind"
    assert listed_by_kind(items, kinds) == expected
    assert listed_by_kind(items, kinds, 1) == "0 is cut; and 42 more of other kinds"
    assert listed_by_kind(items[:2], kinds[:2], 2) == "0 is cut; 1 is empty"
    assert listed_by_kind(items[1:9], kinds[1:9], 2) == "1 is empty; 2 is empty; and 6 more"


# A wrong call of each public function whose sentence names an option: its arguments, and what a Python caller reads.
WRONG_CALLS = {
    "adapt": (
        ("best.pt", "t.csv"),
        {"images": "there", "output": "new", "hold_out": 0},
        "hold_out=0; give a share between 0 and 1",
    ),
    "apply": (("t.csv", "log.csv"), {"output": "n.csv"}, "n.csv exists; give another name or overwrite=True."),
    "audit": (("t.csv",), {"output": "there"}, "there exists; give another folder or overwrite=True."),
    "bench": (("best.pt",), {"images": "there", "seconds": 0}, "seconds=0; give a number above 0."),
    "calibrate": (
        ("best.pt",),
        {"output": "n.pt", "oof": "there", "images": "there"},
        "`oof` and `images` are two ways to calibrate; ",
    ),
    "card": (("best.pt",), {"output": "n.csv"}, "n.csv exists; give another name or overwrite=True."),
    "check": (("test.csv", "s.csv"), {"images": "gone"}, "gone: no such image folder; check `images`."),
    "compare": (("t.csv", "t.csv", "t.csv"), {"conf": 2}, "conf=2; give a number from 0 to 1."),
    "convert": (
        ("t.csv",),
        {"images": "there", "output": "new", "val": 0.1, "folds": 2},
        "`val` and `folds` can't be used together; give one of them.",
    ),
    "crossval": (("t.csv",), {"output": "new"}, "a label table needs `images`, the folder of its images."),
    "curate": (
        ("t.csv",),
        {"oof": "o", "output": "n.csv", "boxes": "x"},
        "boxes='x'; give one of all, loose, ",
    ),
    "demo": ((), {"output": "new", "seed": -1}, "seed=-1; give 0 or more."),
    "differential": (("t.csv",), {"cells": 0}, "cells=0; give 1 or more."),
    "ensemble": ((["there"],), {"output": "data"}, "data exists; give another folder or overwrite=True."),
    "evaluate": (("t.csv", "s.csv"), {"precision": 2}, "precision=2; give a number from 0 to 1."),
    "export": (("best.pt",), {"output": "n.onnx", "format": "x"}, "format='x'; give onnx or openvino."),
    "export_labels": (
        ("t.csv",),
        {"images": "there", "format": "x", "output": "new"},
        "format='x'; give ",
    ),
    "import_labels": (("t.csv",), {"output": "new.csv", "format": "x"}, "format='x'; give "),
    "jobs": (
        ("there",),
        {},
        "there has no jobs on a cluster; give the output of a command that was called with `runner`.",
    ),
    "join": (
        ({"a": {"labels": "t.csv", "images": "there"}, "b": {"labels": "t.csv", "images": "there"}},),
        {"output": "there"},
        "there exists; give another folder or overwrite=True.",
    ),
    "fuse": (
        ([],),
        {"output": "n.csv"},
        "there is no table to fuse; give those that predict(probabilities=True) wrote.",
    ),
    "predict": (("best.pt", "there"), {"output": "there"}, "there exists; give another folder or overwrite=True."),
    "repair": (("t.csv",), {"output": "n.csv", "skip": ["x"]}, "skip='x': there is no such rule; "),
    "review": (("t.csv",), {}, "`images` is missing; give the image folder of t.csv."),
    "reproduce": (("data",), {"output": "new", "folds": 1}, "folds=1; give 2 or more."),
    "score": (("t.csv", "t.csv", "there"), {}, "there exists; give another folder or overwrite=True."),
    "select": (("there",), {"weights": "best.pt", "output": "new", "count": 0}, "count=0; give 1 or more."),
    "smear": ((), {"output": "new", "seed": -1}, "seed=-1; give 0 or more."),
    "submit": (
        ("best.pt", "t.csv"),
        {"images": "gone", "output": "new.csv"},
        "gone: no such image folder; check `images`.",
    ),
    "train": (
        ("dataset",),
        {"output": "new", "resume": True, "epochs": 3},
        "resume=True goes on with the run's own settings; leave out epochs.",
    ),
    "train_classifier": (
        ("dataset",),
        {"output": "new", "jobs": 2},
        "`jobs` is only for folds=True; leave it out.",
    ),
    "undo": (("n.csv", "log.csv"), {"output": "t.csv"}, "t.csv exists; give another name or overwrite=True."),
}


@pytest.mark.parametrize("name", [name for name in cytoyolo.__all__ if name.islower() and name != "info"])
def test_no_python_caller_reads_of_dashes(name, blobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("there/a.jpg", "data/images/a.jpg"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    for path in ("t.csv", "data/train.csv", "data/test.csv"):
        (tmp_path / path).write_text("NAME,x1,y1,x2,y2,class\na.jpg,1,2,30,40,PNN\na.jpg,1,2,30,40,PNN\n")
    (tmp_path / "test.csv").write_text("trustii_id,NAME\n1,a.jpg\n")
    (tmp_path / "s.csv").write_text("trustii_id,NAME,x1,y1,x2,y2,class\n1,a.jpg,1,2,30,40,PNN\n")
    (tmp_path / "dataset").symlink_to(blobs / "dataset")
    cytoyolo.repair("t.csv", output="n.csv", changes="log.csv")
    arguments, options, words = WRONG_CALLS[name]
    with pytest.raises(CytoyoloError) as caught:
        getattr(cytoyolo, name)(*arguments, **options)
    assert str(caught.value).startswith(words)
    assert ("--" not in str(caught.value) and "--" in as_typed(caught.value.sentence)) or " -o" in caught.value.sentence


def test_no_sentence_of_the_library_spells_an_option_with_dashes():
    spelled = []
    for path in Path(cytoyolo.__file__).parent.rglob("*.py"):
        if "cli" in path.parts or path.name == "errors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MAKER":
                continue  # the command that made a folder, as it was typed
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.Constant) and isinstance(child.value, str) and not isinstance(node, ast.Expr):
                    either = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "either"
                    of_another = re.search("docker|pip install", child.value)
                    if re.search(r"(^|[ (`'])--[a-z]", child.value) and not (either or of_another):
                        spelled.append(f"{path.name}:{child.lineno}")
    assert spelled == []

"""What two readers read of one error: a user of the command line and a Python caller."""

import pickle
from typing import Literal

import pytest

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

"""The whole way in one command: what is done is skipped, what changed is done again, and a plan costs nothing."""

import json

import pandas as pd
import pytest

from cytoyolo import reproduce
from cytoyolo.commands import reproduce as command
from tests.blobs import SETTINGS, SPEC, draw

STEPS = [
    "audit", "repair", "convert to folds", "cross-validate", "curate (iou)", "curate (keep)", "convert", "train",
    "predict",
]  # fmt: skip
# One epoch learns nothing: what it would correct is not to be lost.
OPTIONS = {**SETTINGS, "epochs": 1, "folds": 2, "force": True, "variant": "keep", "boxes": "none"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    table = draw(folder / "images")
    table.iloc[:20].to_csv(folder / "train.csv", index=False)
    pd.DataFrame({"trustii_id": [1, 2], "NAME": table["NAME"][20:22]}).to_csv(folder / "test.csv", index=False)
    (folder / "spec.yaml").write_text(SPEC)
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("all") / "run"
    plan = reproduce(data, output=folder, dataset=data / "spec.yaml", dry_run=True, **OPTIONS)
    assert not folder.exists(), "a dry run writes nothing"
    assert [one.step for one in plan] == STEPS
    assert {one.state for one in plan} == {"to do"}
    assert all(one.seconds > 0 for one in plan if one.step in ("cross-validate", "train", "predict"))
    assert {one.step: one.seconds for one in plan}["train"] > 9  # a training takes that with hardly an image
    reproduce(data, output=folder, dataset=data / "spec.yaml", **OPTIONS)
    return folder


def test_it_ends_with_a_row_for_each_test_row(run, data):
    rows = pd.read_csv(run / "submission.csv")
    assert rows["trustii_id"].tolist() == [1, 2]
    for variant in ("iou", "keep"):
        assert (run / f"curated-{variant}.csv").is_file()
        assert (run / f"curated-{variant}.changes.csv").is_file()


def test_what_is_done_is_skipped(run, data):
    def times():
        return {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.suffix != ".json"}

    before = times()
    again = reproduce(data, output=run, dataset=data / "spec.yaml", **OPTIONS)
    assert times() == before
    assert sum(one.seconds for one in again) == 0


def test_a_plan_tells_what_a_change_costs(run, data):
    def states(**changed):
        made = reproduce(data, output=run, dataset=data / "spec.yaml", dry_run=True, **{**OPTIONS, **changed})
        return {one.step: one.state for one in made}

    assert set(states().values()) == {"done"}
    assert [step for step, state in states(boxes="all").items() if state != "done"] == STEPS[4:]
    assert [step for step, state in states(epochs=2).items() if state != "done"] == STEPS[3:]


def test_an_interrupted_step_is_gone_on_with(run, data):
    state = json.loads((run / "reproduce.json").read_text())
    interrupted = {**state, "train": {**state["train"], "done": False}}
    (run / "reproduce.json").write_text(json.dumps(interrupted))
    weights = (run / "run" / "weights" / "best.pt").stat().st_mtime_ns
    plan = reproduce(data, output=run, dataset=data / "spec.yaml", dry_run=True, **OPTIONS)
    assert {one.step: one.state for one in plan}["train"] == "to go on with"
    reproduce(data, output=run, dataset=data / "spec.yaml", **OPTIONS)
    assert (run / "run" / "weights" / "best.pt").stat().st_mtime_ns == weights, "the finished training was repeated"


def test_a_folder_without_its_tables_is_named(tmp_path, cytoyolo):
    done = cytoyolo("reproduce", tmp_path, "-o", tmp_path / "run")
    assert done.returncode == 2
    assert "train.csv is missing" in done.stderr


def test_a_plan_downloads_nothing(data, tmp_path, monkeypatch):
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path / "home"))
    options = {**OPTIONS, "recipe": "quick", "model": "yolo11n.pt"}
    plan = reproduce(data, output=tmp_path / "run", dataset=data / "spec.yaml", dry_run=True, **options)
    assert {one.step: one.seconds for one in plan}["train"] > 0
    assert not list(tmp_path.rglob("*.pt"))


def test_a_prediction_takes_the_first_of_several_gpus(data, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(command, "predict", lambda *_, **options: seen.append(options["device"]))
    options = {"dataset": "wbc5", "groups": None, "folds": 2, "seed": 0, "force": False}
    steps = command._steps(data, tmp_path, options, {"recipe": "quick"}, "1,2", 1, "iou", "loose")
    steps[-1].work(False)
    assert seen == ["1"]

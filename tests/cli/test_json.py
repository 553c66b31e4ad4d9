"""`--json`: every command prints its result as one JSON object, and nothing else, on stdout."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import cytoyolo
from cytoyolo.cli.app import app
from cytoyolo.cli.output import print_json
from cytoyolo.commands import (
    adapt,
    calibrate,
    crossval,
    crossval_result,
    demo,
    ensemble,
    reproduce,
    reproduce_outcome,
    train_classifier,
)
from cytoyolo.runners.ledger import FOLDER, Entry, Ledger
from tests.predicted_tables import crossvalidated, oof_text
from tests.reviewing import made_review

COMMANDS = typer.main.get_command(app).commands
# Calls in the folder `place`, and some of the keys of their answers.
CALLS = {
    "import": ("coco.json -o new/imported.csv", {"output", "boxes", "classes", "counts", "problems"}),
    "join": ("sources.yaml -o new/joined", {"folder", "rows", "images", "sources", "classes"}),
    "audit": ("labels.csv --images images --dataset spec.yaml", {"labels", "severities", "findings"}),
    "repair": ("labels.csv -o new/clean.csv --dataset spec.yaml", {"table", "log", "changes", "rows", "review"}),
    "undo": ("clean.csv changes.csv -o new/labels.csv", {"output", "sha256"}),
    "apply": ("labels.csv changes.csv -o new/applied.csv", {"output", "sha256"}),
    "convert": ("labels.csv --images images --dataset spec.yaml -o new/dataset", {"folder", "images", "boxes"}),
    "train": ("dataset -o run --resume", {"folder", "weights", "metrics"}),
    "curate": ("labels.csv --oof CV/oof.csv -o new/curated.csv --force", {"table", "findings", "changes", "suspects"}),
    "predict": ("run/weights/best.pt images -o new/found", {"output", "rows", "differential", "failures"}),
    "submit": ("run/weights/best.pt test.csv --images images -o new/s.csv", {"output", "rows", "fallback_rows"}),
    "fuse": ("found.csv found.csv --dataset spec.yaml -o new/fused.csv", {"output", "images", "rows"}),
    "differential": ("found.csv --dataset spec.yaml", {"facts", "overall", "slides", "classes", "remarks"}),
    "evaluate": ("labels.csv found.csv --dataset spec.yaml -o new/e", {"images", "average_precision", "given", "best"}),
    "compare": ("truth.csv truth.csv truth.csv --dataset spec.yaml", {"figures", "classes", "groups", "mcnemar"}),
    "score": ("truth.csv truth.csv --dataset spec.yaml", {"score", "interval", "classes"}),
    "check": ("test.csv truth.csv --dataset spec.yaml", {"findings"}),
    "export-labels": (
        "labels.csv --images images --dataset spec.yaml --format coco -o new/c.json",
        {"output", "boxes", "tags"},
    ),
    "export": ("run/weights/best.pt -o new/a.onnx", {"output", "comparison"}),
    "card": ("run/weights/best.pt -o new/README.md", {"output", "metadata", "unknown"}),
    "bench": ("run/weights/best.pt --images images --backend onnx --threads 1 --seconds 0.1", {"ways"}),
    "review": (
        "r.sqlite --export new/review.csv",
        {"review", "items", "reviewers", "agreement", "conflicts", "output"},
    ),
    "select": (
        "images --weights run/weights/best.pt -n 2 --conf 0.0001 --device cpu -o new/to_label",
        {"output", "labels", "images", "cells", "left_out"},
    ),
    "smear": ("-o new/smears --images 4", {"folder", "cells"}),
    "info": ("", {"versions", "cores"}),
    "jobs": ("clustered", {"jobs"}),
}
# These train for minutes. Here only their printing is tested, with results that are given; their own tests run them.
TRAINING = {
    "adapt": (
        "best.pt labels.csv --images images -o new/adapted",
        {"weights", "verdict", "recommended", "figures", "classes", "added", "untaught"},
    ),
    "calibrate": ("w.pt -o new/c.pt", {"output", "cells", "error_before", "error_after", "uncertain_below", "classes"}),
    "crossval": ("labels.csv -o new/CV", {"oof", "score", "groups"}),
    "ensemble": ("CV -o new/ensemble", {"output", "detectors", "classifiers", "cells", "figures"}),
    "demo": ("-o new/demo", {"faults", "score", "paths", "seconds"}),
    "reproduce": (". -o new/third", {"steps", "outcome"}),
    "train-classifier": ("dataset -o new/cells", {"folder", "weights", "metrics", "oof"}),
}


@pytest.fixture(scope="session")
def place(blobs: Path, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the calls take."""
    folder = tmp_path_factory.mktemp("json")
    for name in ("images", "labels.csv", "test.csv", "spec.yaml", "dataset"):
        (folder / name).symlink_to(blobs / name)
    (folder / "run").symlink_to(small_run)
    labels = pd.read_csv(folder / "labels.csv")
    truth = pd.read_csv(folder / "test.csv").merge(labels, on="NAME", how="left")
    truth.to_csv(folder / "truth.csv", index=False)
    labels.assign(confidence=0.5, second_class="pale", margin=0.1).to_csv(folder / "found.csv", index=False)
    cytoyolo.repair(folder / "labels.csv", output=folder / "clean.csv", dataset=folder / "spec.yaml")
    spec = folder / "spec.yaml"
    cytoyolo.export_labels(
        folder / "labels.csv", images=folder / "images", dataset=spec, format="coco", output=folder / "coco.json"
    )
    rows = [
        (name, at % 2, 80, 72, tuple(box), (0.9, 0.1) if code == "dark" else (0.1, 0.9))
        for at, (name, *box, code) in enumerate(labels.itertuples(index=False))
    ]
    crossvalidated(folder / "CV", (folder / "labels.csv").read_bytes(), oof_text(rows))
    one = "{labels: labels.csv, images: images, dataset: spec.yaml}"
    (folder / "sources.yaml").write_text(f"one: {one}\ntwo: {one}\n")
    made_review(folder / "review").rename(folder / "r.sqlite")
    (folder / "new").mkdir()
    Ledger(folder / "clustered" / FOLDER, "slurm", {}, {"fold 0": Entry()}).write()
    return folder


def answer(monkeypatch: pytest.MonkeyPatch, place: Path, name: str, call: str) -> dict[str, Any]:
    monkeypatch.chdir(place)
    result = CliRunner().invoke(app, [name, *call.split(), "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.stdout.count("\n") == 1
    parsed = json.loads(result.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert isinstance(parsed, dict)
    return parsed


def test_every_command_is_asked_for_json() -> None:
    assert CALLS.keys() | TRAINING.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_result_is_one_object_on_stdout(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call, keys = CALLS[name]
    assert keys <= answer(monkeypatch, place, name, call).keys()


@pytest.mark.parametrize("name", TRAINING)
def test_so_is_the_result_of_a_training(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    score = cytoyolo.score("truth.csv", "truth.csv", dataset="spec.yaml")
    table = pd.DataFrame({"rule": ["inverted"], "found": [3], "share": [float("nan")]})
    made = {
        "adapt": adapt.Adapted(
            place, place, None, "better", (place,), 40, 10, 10, 2, table, table, ("Er",), (), ("A remark.",)
        ),
        "calibrate": calibrate.CalibratedWeights(place, 90, 0.9, 0.1, 0.02, 0.7, 0.1, 0.95, table, []),
        "crossval": crossval_result.Crossvalidated(place, place / "oof.csv", 5, score, table, table),
        "demo": demo.Demonstrated(table, score, {"weights": place}, {"Train": 1.5}),
        "ensemble": ensemble.MadeEnsemble(place, 5, 5, 40, table),
        "reproduce": [reproduce.Planned("train", place, "done", 1.5, None)],
        "train-classifier": train_classifier.TrainedClassifier(place, (place / "best.pt",), {"epoch": 1.0}),
    }
    modules = {
        "adapt": adapt, "calibrate": calibrate, "crossval": crossval, "demo": demo, "ensemble": ensemble,
        "reproduce": reproduce,
        "train-classifier": train_classifier,
    }  # fmt: skip
    monkeypatch.setattr(modules[name], name.replace("-", "_"), lambda *_, **__: made[name])
    ended = reproduce_outcome.Outcome(0.9, 0.9, 0.9, 0.9, float("nan"), table)
    monkeypatch.setattr(reproduce_outcome, "outcome", lambda *_: ended)
    call, keys = TRAINING[name]
    assert keys <= answer(monkeypatch, place, name, call).keys()


def test_tables_paths_and_missing_numbers_have_a_form(capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"line": pd.Series([2, None], dtype=object), "share": [0.5, float("nan")], "name": ["é", ""]})
    print_json({"table": table, "path": Path("a/b.csv"), "pair": (1, float("inf")), 3: None})
    expected = {
        "table": [{"line": 2, "share": 0.5, "name": "é"}, {"line": None, "share": None, "name": ""}],
        "path": "a/b.csv", "pair": [1, None], "3": None,
    }  # fmt: skip
    assert json.loads(capsys.readouterr().out) == expected

"""`ensemble`: the models of folds become one, with weights that the out-of-fold predictions choose."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cytoyolo import convert, ensemble, evaluate, fuse, predict, train_classifier
from cytoyolo.commands.ensemble_runs import read_run
from cytoyolo.commands.ensemble_votes import read_votes, true_cells
from cytoyolo.detector.averaging import choose_weights, class_vectors
from cytoyolo.detector.crops import Crop
from cytoyolo.detector.ensemble_folder import read_ensemble
from cytoyolo.detector.table import OUT_OF_FOLD, DetectionTable, rows_of
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import fingerprint
from tests.classifiers import untrained
from tests.outcomes import contents

FOLDS = 2


def written(folder, name, spec, table, weights, labels=None):
    """Write the folder of a finished cross-validation: its summary `name`, weights and out-of-fold table."""
    folder.mkdir()
    models = []
    for fold in range(FOLDS):
        models.append(folder / f"fold{fold}" / "weights" / "last.pt")
        models[-1].parent.mkdir(parents=True)
        shutil.copy(weights, models[-1])
    rows = rows_of(table, spec, OUT_OF_FOLD)
    if labels is not None:
        rows.insert(list(rows).index("confidence"), spec.columns["class"], labels)
    rows.to_csv(folder / "oof.csv", index=False)
    stored = {
        "status": "finished", "folds": FOLDS, "dataset": {"spec": spec.to_dict()},
        "weights_sha256": [fingerprint(path) for path in models],
    }  # fmt: skip
    (folder / name).write_text(json.dumps(stored))
    return folder


def of_shares(labels, shares, codes, shift=0.0):
    """A table of out-of-fold predictions of labelled cells, with boxes that are moved to the right."""
    names = labels["NAME"].to_numpy(object)
    xyxy = labels[["x1", "y1", "x2", "y2"]].to_numpy(float) + np.array([shift, 0, shift, 0])
    return DetectionTable(
        names, xyxy, shares.argmax(axis=1), shares.max(axis=1), shares, codes, dict.fromkeys(names, (90, 80)),
        {name: number % FOLDS for number, name in enumerate(dict.fromkeys(names))},
    )  # fmt: skip


@pytest.fixture(scope="module")
def lab(blobs, small_run, tmp_path_factory):
    """A cross-validation of detectors that guess, one of classifiers that mostly know, and what both said."""
    folder = tmp_path_factory.mktemp("ensemble")
    spec, labels = load_spec(blobs / "spec.yaml"), pd.read_csv(blobs / "labels.csv")
    truth, random = (labels["class"] == "pale").to_numpy(int), np.random.default_rng(0)
    guess = random.uniform(0.05, 0.45, (len(labels), 2))
    sure = class_vectors(random.uniform(0.1, 0.3, (len(labels), 2)) + 0.8 * np.eye(2)[truth])
    found = of_shares(labels, guess, spec.codes, shift=2.0)
    written(folder / "cv", "crossval.json", spec, found, small_run / "weights" / "last.pt")
    cells = untrained(folder / "best.pt", spec, Crop(32, 0.25))
    written(folder / "cells", "folds.json", spec, of_shares(labels, sure, spec.codes), cells, labels["class"])
    return folder


def test_the_weights_are_those_that_the_predictions_choose(lab, blobs, tmp_path, cytoyolo):
    done = cytoyolo("ensemble", lab / "cells", lab / "cv", "-o", tmp_path / "ens", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["detectors"], made["classifiers"], made["cells"]) == (2, 2, 24)
    runs = [read_run(lab / "cv"), read_run(lab / "cells")]
    cells = true_cells(runs[1])
    labels = pd.read_csv(blobs / "labels.csv")
    assert np.array(cells.codes, object)[cells.class_id].tolist() == labels["class"].tolist()
    votes = [read_votes(run, cells) for run in runs]
    assert all(there.all() for _, there in votes)
    detector, classifier = choose_weights([vote for vote, _ in votes], cells.class_id)
    assert classifier > 0.9
    stored = read_ensemble(tmp_path / "ens")
    assert stored.weights == pytest.approx((detector / 2, detector / 2, classifier / 2, classifier / 2))
    assert [path.name for path in stored.detectors] == ["detector0-fold0.pt", "detector0-fold1.pt"]
    figures = pd.DataFrame(made["figures"]).set_index("model")
    assert figures.loc["chosen weights", "log_likelihood"] >= figures["log_likelihood"].max() - 1e-3
    assert figures.loc["cells", "macro_f1"] == 1.0 > figures.loc["cv", "macro_f1"]
    text = (tmp_path / "ens" / "ensemble.json").read_text()
    assert "NaN" not in text and str(lab) not in text
    chosen_on = json.loads(text)["chosen_on"]
    assert chosen_on["cells"] == 24 and len(chosen_on["figures"]) == 4


def test_an_ensemble_with_classifiers_predicts(lab, blobs, tmp_path):
    folder = ensemble([lab / "cv", lab / "cells"], output=tmp_path / "ens").output
    call = {"conf": 1e-3, "device": "cpu", "probabilities": True, "pictures": False}
    one = predict(folder, blobs / "images", output=tmp_path / "one", **call)
    stored = read_ensemble(folder)
    given = {"classifiers": stored.classifiers, "model_weights": stored.weights}
    two = predict(stored.detectors, blobs / "images", output=tmp_path / "two", **given, **call)
    assert one.rows > 0
    assert (one.output / "detections.csv").read_bytes() == (two.output / "detections.csv").read_bytes()


def test_out_of_fold_tables_are_fused_as_the_weights_are_chosen(lab, blobs, tmp_path):
    spec = blobs / "spec.yaml"
    tables = {"tables": [lab / "cv" / "oof.csv"], "classifiers": [lab / "cells" / "oof.csv"]}
    fuse(**tables, model_weights=[0.1, 0.9], dataset=spec, output=tmp_path / "fused.csv")
    made, labels = pd.read_csv(tmp_path / "fused.csv"), pd.read_csv(blobs / "labels.csv")
    assert made["NAME"].tolist() == sorted(labels["NAME"]) and len(made) == 24
    assert (made["class"] == labels.set_index("NAME").loc[made["NAME"], "class"].to_numpy()).all()
    found = evaluate(blobs / "labels.csv", tmp_path / "fused.csv", dataset=spec, conf=0.0)
    figures = found.given.overall.set_index("figure")["value"]
    assert figures["class_accuracy"] == figures["recall"] == 1.0


def test_detectors_alone_have_equal_weights_and_the_same_call_gives_the_same_bytes(lab, tmp_path):
    for name in ("a", "b"):
        made = ensemble([lab / "cv"], output=tmp_path / name)
        assert (made.detectors, made.classifiers, made.cells, len(made.figures)) == (2, 0, 0, 0)
    assert read_ensemble(tmp_path / "a").weights is None
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    with pytest.raises(UsageError, match="exists"):
        ensemble([lab / "cv"], output=tmp_path / "a")
    ensemble([lab / "cv"], output=tmp_path / "a", overwrite=True)


def test_wrong_runs(lab, blobs, small_run, tmp_path):
    copied = shutil.copytree(lab, tmp_path / "lab")
    cv, cells, output = copied / "cv", copied / "cells", tmp_path / "ens"

    def refused(words, runs, kind=CytoyoloError):
        with pytest.raises(kind, match=words) as error:
            ensemble(runs, output=output)
        assert "\n" not in str(error.value) and not output.exists()

    refused("there is no run", [], UsageError)
    refused("is given twice", [cv, cv], UsageError)
    refused("is neither a folder of `cytoyolo crossval` nor", [small_run], UsageError)
    refused("no run holds detectors", [cells], UsageError)
    table = (cells / "oof.csv").read_text()
    rows = pd.read_csv(cells / "oof.csv", dtype=str)
    rows.assign(p_dark="0.9", p_pale="0.8").to_csv(cells / "oof.csv", index=False)
    refused("the probabilities sum to 1.7, not to 1", [cv, cells])
    rows.assign(**{"class": "PNN"}).to_csv(cells / "oof.csv", index=False)
    refused("without a class of the data set", [cv, cells])
    rows.assign(NAME="x" + rows["NAME"]).to_csv(cells / "oof.csv", index=False)
    refused("no cell of .* has a prediction in all runs", [cv, cells])
    (cells / "oof.csv").write_text(table)
    stored = json.loads((cells / "folds.json").read_text())
    other = replace(load_spec(blobs / "spec.yaml"), codes=("dark", "other")).to_dict()
    for changed, words in (
        ({"dataset": {"spec": other}}, "give runs of the same labels"),
        ({"status": "running"}, "is not finished"),
        ({"weights_sha256": []}, "is damaged"),
        ({"folds": "x"}, "is damaged"),
    ):
        (cells / "folds.json").write_text(json.dumps({**stored, **changed}))
        refused(words, [cv, cells])
    with (cv / "fold0" / "weights" / "last.pt").open("ab") as file:
        file.write(b" ")
    refused("has changed since the folds were finished", [cv])


@pytest.mark.slow
def test_folds_of_train_classifier_are_such_a_run(lab, blobs, tmp_path):
    dataset = tmp_path / "dataset"
    convert(blobs / "labels.csv", images=blobs / "images", output=dataset, dataset=blobs / "spec.yaml", folds=FOLDS)
    tiny = {"model": "yolo11n.yaml", "epochs": 1, "batch": 8, "imgsz": 32, "plots": False, "device": "cpu"}
    cells = train_classifier(dataset, output=tmp_path / "cells", folds=True, **tiny)
    made = ensemble([lab / "cv", cells.folder], output=tmp_path / "ens")
    assert (made.detectors, made.classifiers, made.cells) == (2, 2, 24)
    alone = made.figures.set_index("model").loc["cells", "macro_f1"]
    assert alone == pytest.approx(cells.metrics["metrics/macro_f1"])
    found = predict(made.output, blobs / "images", output=tmp_path / "found", conf=1e-3, device="cpu", pictures=False)
    assert found.rows > 0

"""Cards of weights and of data sets: the form of the hub, nothing that the files do not hold, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import cytoyolo
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.spec import load_spec
from tests.classifiers import untrained

# Identifiers of the hub: https://huggingface.co/tasks and the sizes of its data set cards.
TASKS = {"object-detection", "image-classification"}
SIZES = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "n>1M"}


def parts_of(path: Path) -> tuple[dict[str, Any], str]:
    """The metadata of a card, as the hub reads it, and its text."""
    text = path.read_text(encoding="utf-8")
    _, head, body = re.split(r"^---\n", text, maxsplit=2, flags=re.M)
    return yaml.safe_load(head), body


def evaluated(folder: Path, codes: tuple[str, ...] = ("dark", "pale")) -> Path:
    """What `evaluate` writes, with figures of our own."""
    overall = [{"figure": "precision", "value": 0.75}, {"figure": "recall", "value": 0.5}]
    overall += [{"figure": "f1", "value": 0.6}, {"figure": "macro_f1", "value": 0.55}]
    overall += [{"figure": "class_accuracy", "value": None}]
    stored = {
        "images": 12, "cells": 40, "found": 30,
        "average_precision": [{"class": "all", "ap50": 0.8, "ap": 0.4}],
        "given": {"threshold": 0.25, "overall": overall, "classes": [{"class": code} for code in codes]},
    }  # fmt: skip
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps(stored))
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of a classifier that lies in no run."""
    folder = tmp_path_factory.mktemp("bare")
    weights = untrained(folder / "cls.pt", load_spec("wbc5"))
    cytoyolo.card(weights, output=folder / "README.md")
    return folder / "README.md"


def test_a_card_of_a_run_holds_what_the_run_holds(small_run: Path, tmp_path: Path) -> None:
    made = cytoyolo.card(small_run / "weights" / "best.pt", output=tmp_path / "README.md")
    metadata, text = parts_of(tmp_path / "README.md")
    assert metadata == made.metadata
    assert metadata["pipeline_tag"] in TASKS
    assert (metadata["license"], metadata["library_name"], metadata["datasets"]) == ("agpl-3.0", "cytoyolo", ["blobs"])
    (index,) = metadata["model-index"]
    (result,) = index["results"]
    assert result["task"] == {"type": "object-detection"}
    assert result["dataset"] == {"name": "blobs", "type": "blobs", "split": "validation"}
    manifest = json.loads((small_run / "manifest.json").read_text())
    figures = {one["name"]: one["value"] for one in result["metrics"]}
    assert figures["AP50"] == round(manifest["metrics"]["metrics/mAP50(B)"], 4)
    assert set(metadata["metrics"]) == {one["type"] for one in result["metrics"]}
    for said in (
        "| 0 | dark | dark disc | yes |  |",
        "dark 12, pale 12",
        "| Images | 24 |",
        "yolo11n.yaml",
        "2, 8, 64, 0",
    ):
        assert said in text, said
    assert str(small_run) not in text and "labels.csv" not in text


def test_an_evaluation_stands_in_the_place_of_the_validation(small_run: Path, tmp_path: Path) -> None:
    weights = small_run / "weights" / "best.pt"
    cytoyolo.card(weights, output=tmp_path / "README.md", evaluation=evaluated(tmp_path / "e"), name="My weights")
    metadata, text = parts_of(tmp_path / "README.md")
    (index,) = metadata["model-index"]
    assert index["name"] == "My weights" and "# My weights" in text
    (result,) = index["results"]
    assert result["dataset"]["split"] == "test"
    figures = [(one["type"], one["name"], one["value"]) for one in result["metrics"]]
    assert ("map", "AP50", 0.8) in figures and ("f1", "Macro F1", 0.55) in figures
    assert not any("Accuracy" in name for _, name, _ in figures), "a figure that is not known is left out"
    assert "12 images with 40 true cells" in text and "confidence 0.25" in text


def test_what_is_not_known_is_said_and_not_claimed(bare: Path) -> None:
    metadata, text = parts_of(bare)
    assert metadata["pipeline_tag"] == "image-classification"
    assert "model-index" not in metadata and "metrics" not in metadata
    told, unknown = text.split("## What is not known")
    assert "how good it is" in unknown and "the settings and the images of the training" in unknown
    assert "Recipe" not in told and "Figures" not in told


def test_the_package_has_a_card_of_its_own_weights(tmp_path: Path) -> None:
    made = cytoyolo.card("leukocytes", output=tmp_path / "README.md", licence="agpl-3.0")
    assert made.metadata["datasets"] == ["leukocytes"]
    assert not any("calibrated" in one for one in made.unknown), "these weights are calibrated"


def test_a_card_of_a_data_set(blobs: Path, tmp_path: Path) -> None:
    made = cytoyolo.card(blobs / "dataset", output=tmp_path / "README.md", licence="cc-by-4.0")
    metadata, text = parts_of(tmp_path / "README.md")
    assert metadata["task_categories"] == ["object-detection"] and metadata["size_categories"] == ["n<1K"]
    assert set(metadata["size_categories"]) <= SIZES
    assert (metadata["license"], metadata["pretty_name"]) == ("cc-by-4.0", "blobs")
    for said in ("| 1 | pale | pale disc | yes |  | 12 |", "| Images | 24 |", "| Images of validation | 6 |"):
        assert said in text, said
    assert not any("licence" in one for one in made.unknown)
    without = cytoyolo.card(blobs / "dataset", output=tmp_path / "other.md")
    assert "license" not in without.metadata and any("the licence" in one for one in without.unknown)


def test_the_same_input_gives_the_same_bytes(small_run: Path, tmp_path: Path) -> None:
    weights = small_run / "weights" / "best.pt"
    paths = [cytoyolo.card(weights, output=tmp_path / name).output for name in ("a.md", "b.md")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_texts_of_the_user_break_no_table_and_no_metadata(blobs: Path, tmp_path: Path) -> None:
    name = "a | b\n---\nlicense: mit"
    cytoyolo.card(blobs / "dataset", output=tmp_path / "README.md", name=name)
    metadata, text = parts_of(tmp_path / "README.md")
    assert metadata["pretty_name"] == name and "license" not in metadata
    assert text.count("\n# ") == 1


def test_only_a_card_is_overwritten(small_run: Path, tmp_path: Path) -> None:
    weights, place = small_run / "weights" / "best.pt", tmp_path / "README.md"
    cytoyolo.card(weights, output=place)
    with pytest.raises(UsageError, match="exists; give another name or overwrite=True"):
        cytoyolo.card(weights, output=place)
    cytoyolo.card(weights, output=place, name="New", overwrite=True)
    assert "# New" in place.read_text()
    place.write_text("# My own\n")
    with pytest.raises(UsageError, match="is not a card that this command made"):
        cytoyolo.card(weights, output=place, overwrite=True)
    assert place.read_text() == "# My own\n"
    with pytest.raises(UsageError, match=r"is not the name of a card; give a name that ends in \.md"):
        cytoyolo.card(weights, output=tmp_path / "card.txt")


def test_a_folder_of_no_card_is_told_which_folders_have_one(small_run: Path, tmp_path: Path) -> None:
    wanted = r"give such a folder, a folder of `cytoyolo convert`, or a file of weights such as a run's best\.pt"
    with pytest.raises(UsageError, match=wanted):
        cytoyolo.card(tmp_path, output=tmp_path / "README.md")
    with pytest.raises(UsageError, match=r"is the folder of a training; give its weights, .*best\.pt"):
        cytoyolo.card(small_run, output=tmp_path / "README.md")


def test_evaluations_that_do_not_fit_are_refused(small_run: Path, blobs: Path, tmp_path: Path) -> None:
    weights, place = small_run / "weights" / "best.pt", tmp_path / "README.md"
    with pytest.raises(CytoyoloError, match=r"is about other classes \(LY\)"):
        cytoyolo.card(weights, output=place, evaluation=evaluated(tmp_path / "other", ("dark", "LY")))
    (tmp_path / "other" / "evaluation.json").write_text("[]")
    with pytest.raises(CytoyoloError, match="is damaged, or no evaluation"):
        cytoyolo.card(weights, output=place, evaluation=tmp_path / "other")
    with pytest.raises(UsageError, match="no such file; give the folder that evaluate made"):
        cytoyolo.card(weights, output=place, evaluation=tmp_path / "gone")
    with pytest.raises(UsageError, match=r"is about weights, and .* is a data set"):
        cytoyolo.card(blobs / "dataset", output=place, evaluation=tmp_path / "other")
    assert not place.exists()

"""Weights know which images they were trained on, and no figure about these images passes as one about new images."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cytoyolo import CytoyoloError, calibrate, convert, crossval, evaluate, train, train_classifier
from cytoyolo.commands.seen_images import (
    START_SEEN,
    refuse_seen_folds,
    seen_facts,
    seen_in_folder,
    seen_in_held_out,
    seen_in_validation,
)
from cytoyolo.detector import train as training
from cytoyolo.detector.seen import Seen, parse_seen
from cytoyolo.detector.weights import Start, find_start, load_checkpoint, seen_of, write_with_facts
from cytoyolo.yolo.folder import SOURCE, Dataset, load_dataset
from cytoyolo.yolo.verify import read_listing
from tests.blobs import SETTINGS, draw

TINY = {**SETTINGS, "epochs": 2, "plots": False}


@pytest.fixture(scope="module")
def weights(small_run):
    return small_run / "weights" / "best.pt"


@pytest.fixture(scope="module")
def start(weights):
    return find_start(str(weights), asked=True)


@pytest.fixture(scope="module")
def folds(blobs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds") / "dataset"
    convert(blobs / "labels.csv", images=blobs / "images", output=folder, dataset=blobs / "spec.yaml", folds=2)
    return load_dataset(folder)


@pytest.fixture(scope="module")
def other_part(blobs, tmp_path_factory):
    """The images of the blobs, with other images in the validation part."""
    folder = tmp_path_factory.mktemp("other") / "dataset"
    options = {"images": blobs / "images", "dataset": blobs / "spec.yaml", "val": 0.25, "seed": 1}
    convert(blobs / "labels.csv", output=folder, **options)
    return load_dataset(folder)


def parts(data):
    """The fingerprints of the images of the training and of the validation, as weights hold them."""
    listing = read_listing(data)
    short = listing["image_blake2b"].str[:16]
    return set(short[listing["part"] == "0"]), set(short[listing["part"] == "1"])


def test_weights_know_the_images_of_their_training_and_no_others(start, blobs):
    trained, held_out = parts(load_dataset(blobs / "dataset"))
    assert len(held_out) == 6 and start.seen.images == trained


@pytest.fixture
def changed(weights, tmp_path) -> Callable[..., tuple[Dataset, Path]]:
    """Make a data set whose files have other bytes than the images that they show, and weights trained on it."""

    def make(kind: str, **options: object) -> tuple[Dataset, Path]:
        table = draw(tmp_path / "images", 8)
        if kind == "painted":
            table = pd.concat([table, table.head(1).assign(x1=0, y1=0, x2=5, y2=5, **{"class": "msk"})])
        for path in (tmp_path / "images").iterdir() if kind == "repaired" else ():
            path.write_bytes(path.read_bytes() + b"tail")
        table.to_csv(tmp_path / "labels.csv", index=False)
        (tmp_path / "spec.yaml").write_text("classes: [dark, pale]")
        convert(tmp_path / "labels.csv", images=tmp_path / "images", output=tmp_path / "data", val=0.25,
                dataset=tmp_path / "spec.yaml", tiles=60 if kind == "cut" else None)  # fmt: skip
        data = load_dataset(tmp_path / "data")
        facts = seen_facts(tmp_path, data, None)
        write_with_facts(weights, tmp_path / "weights.pt", facts)
        return data, tmp_path / "weights.pt"

    return make


@pytest.mark.parametrize("kind", ["painted", "cut", "repaired"])
def test_images_are_known_by_their_own_files_too(changed, kind, tmp_path):
    data, path = changed(kind)
    listing = read_listing(data).drop_duplicates("NAME")
    told = f"{(listing['part'] == '0').sum()} of the 8 images ("
    assert seen_in_folder([path], listing["NAME"].tolist(), tmp_path / "images").startswith(told)
    assert seen_in_held_out([path], data) == ""
    # The same images in a folder where nothing is painted over or cut.
    table = pd.read_csv(tmp_path / "labels.csv").query("`class` != 'msk'")
    table.to_csv(tmp_path / "plain.csv", index=False)
    options = {"images": tmp_path / "images", "dataset": tmp_path / "spec.yaml"}
    convert(tmp_path / "plain.csv", output=tmp_path / "folds", folds=2, **options)
    with pytest.raises(CytoyoloError, match=re.escape(f"was trained on {told}")):
        refuse_seen_folds(find_start(str(path), asked=True), load_dataset(tmp_path / "folds"))
    convert(tmp_path / "plain.csv", output=tmp_path / "most", val=0.75, seed=1, **options)
    most = load_dataset(tmp_path / "most")
    held_out = (read_listing(most)["part"] == "1").sum()
    assert f" of the {held_out} images (" in seen_in_held_out([path], most)
    assert f" of the {held_out} validation images (" in seen_in_validation(
        find_start(str(path), asked=True), most, None
    )


def test_older_folders_and_weights_know_the_files_of_the_folder(folds, start):
    listing = pd.read_csv(folds.folder / "images.csv", dtype=str)
    assert listing.pop(SOURCE).equals(listing["image_blake2b"]), "these images are links"
    older = parse_seen({"seen": sorted(listing["image_blake2b"].str[:16])})
    with pytest.raises(CytoyoloError, match=r"trained on 24 of the 24 images"):
        refuse_seen_folds(Start("old.pt", seen=older), folds)


def test_a_cross_validation_does_not_start_from_weights_that_know_its_images(start, weights, folds, blobs, tmp_path):
    wanted = (
        r"best\.pt was trained on 18 of the 24 images \(blob\d+\.jpg; .* 15 more\), so the models of the folds .* too "
        r"good; start from weights that have not seen the images, such as `?model='yolo11n\.yaml'`?, or leave"
    )
    with pytest.raises(CytoyoloError, match=wanted):
        crossval(folds.folder, output=tmp_path / "cv", **{**TINY, "model": str(weights)})
    table = {"images": blobs / "images", "dataset": blobs / "spec.yaml", "folds": 2}
    with pytest.raises(CytoyoloError, match=wanted):
        crossval(blobs / "labels.csv", output=tmp_path / "cv", **table, **{**TINY, "model": str(weights)})
    with pytest.raises(CytoyoloError, match=wanted):
        train_classifier(folds.folder, output=tmp_path / "cells", folds=True, model=str(weights), imgsz=32)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    refuse_seen_folds(Start("yolo11n.yaml"), folds)


def test_older_weights_know_their_data_set_only(folds):
    for seen in (
        Seen(dataset=folds.manifest["images_sha256"]),
        Seen(labels=folds.manifest["labels"]["sha256"]),
    ):
        with pytest.raises(CytoyoloError, match=r"old\.pt was trained on these images, so .*yolo11n\.yaml'\.$"):
            refuse_seen_folds(Start("old.pt", seen=seen), folds)
    refuse_seen_folds(Start("old.pt", seen=Seen(dataset="0" * 64, labels="0" * 64)), folds)


def test_the_same_validation_part_is_new_to_the_weights(start, blobs, other_part):
    assert seen_in_validation(start, load_dataset(blobs / "dataset"), None) == ""
    known = len(parts(other_part)[1] & start.seen.images)
    assert f"trained on {known} of the 6 validation images (" in seen_in_validation(start, other_part, None)


@pytest.mark.slow
def test_a_training_says_it_once_and_its_weights_know_the_images_of_both(
    weights, other_part, blobs, tmp_path, monkeypatch, caplog
):
    run, settings = tmp_path / "run", {**TINY, "model": str(weights)}

    def killed(trainer):
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(training.progress.CALLBACKS, "on_train_epoch_start", killed)
        with pytest.raises(KeyboardInterrupt):
            train(other_part.folder, output=run, **settings)
    (said,) = [text for text in caplog.messages if "validation images" in text]
    assert "so the figures of this training are too good" in said and (run / START_SEEN).is_file()
    caplog.clear()
    made = train(other_part.folder, output=run, **settings)
    assert not [text for text in caplog.messages if "validation images" in text], "it is no news to the run itself"
    assert not (run / START_SEEN).exists()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["start"]["validation_seen"] == said and said in (run / "report.html").read_text()
    assert (
        seen_of(load_checkpoint(made.weights)).images
        == parts(other_part)[0] | parts(load_dataset(blobs / "dataset"))[0]
    )


def test_a_calibration_refuses_images_that_the_weights_know(weights, blobs, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text((blobs / "labels.csv").read_text().replace("pale", "dark"))
    with pytest.raises(CytoyoloError, match=r"was trained on 18 of the 24 images \(.*\) of .*labels\.csv, so that its"):
        calibrate(weights, labels=labels, images=blobs / "images", output=tmp_path / "known.pt")
    assert not (tmp_path / "known.pt").exists()


def test_an_evaluation_says_that_the_weights_know_the_images(weights, blobs, tmp_path, caplog):
    labels = pd.read_csv(blobs / "labels.csv")
    evaluate(
        blobs / "labels.csv",
        weights,
        images=blobs / "images",
        dataset=blobs / "spec.yaml",
        replicates=10,
        device="cpu",
        output=tmp_path / "out",
    )
    assert "so the figures are too good" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "was trained on 18 of the 24 images (" in caplog.text and "the figures are too good" in caplog.text
    listing = read_listing(load_dataset(blobs / "dataset"))
    new = listing.loc[listing["part"] == "1", "NAME"]
    labels[labels["NAME"].isin(new)].to_csv(tmp_path / "new.csv", index=False)
    caplog.clear()
    evaluate(
        tmp_path / "new.csv", weights, images=blobs / "images", dataset=blobs / "spec.yaml", replicates=10, device="cpu"
    )
    assert "too good" not in caplog.text

"""`train-classifier` with networks of torchvision and timm: what it learns, what it keeps, and what it refuses."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from cytoyolo import CytoyoloError, Detector, UsageError, convert, export, train, train_classifier
from cytoyolo.detector import library
from cytoyolo.detector import train as training
from cytoyolo.detector.classifier import open_classifier
from cytoyolo.detector.classifier_train import find_classifier_start
from cytoyolo.detector.library import parse_library_network
from cytoyolo.detector.weights import load_checkpoint
from cytoyolo.images.info import decode

pytestmark = pytest.mark.slow  # several trainings

SMALL = "torchvision:shufflenet_v2_x0_5"
TINY = {"model": SMALL, "epochs": 2, "imgsz": 64, "batch": 8, "device": "cpu", "plots": False}


@pytest.fixture(scope="module")
def trained(blobs, tmp_path_factory):
    return train_classifier(blobs / "dataset", output=tmp_path_factory.mktemp("library") / "run", **TINY)


@pytest.fixture(scope="module")
def some_weights(tmp_path_factory):
    """A weights file of torchvision's network, as torchvision gives it: 1000 classes, 32 bits."""
    import torch
    from torchvision import models

    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "shufflenet.pth"
    torch.save(models.shufflenet_v2_x0_5(weights=None).state_dict(), path)
    return path


def cells(blobs):
    image, _ = decode(sorted((blobs / "images").iterdir())[0])
    return image, np.array([[5, 5, 40, 44], [30, 20, 70, 60]])


def test_a_run_says_what_it_started_from_and_opens_as_a_classifier(trained, blobs):
    manifest = json.loads((trained.folder / "manifest.json").read_text())
    assert manifest["start"] == {"name": SMALL, "pretrained": None, "sha256": None, "classes_kept": []}
    assert yaml.safe_load((trained.folder / "recipe.yaml").read_text())["model"] == SMALL
    assert pd.read_csv(trained.folder / "metrics.csv")["epoch"].tolist() == [1, 2]
    classifier = open_classifier(trained.weights[0], "torch", "cpu")
    assert classifier.codes == ("dark", "pale") and classifier.crop.side == 64
    found = classifier.probabilities(*cells(blobs))
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    network = load_checkpoint(trained.weights[0])["model"]
    assert network.yaml["mean"] == [0.485, 0.456, 0.406] and network.yaml["std"] == [0.229, 0.224, 0.225]
    for text in (str(trained.folder), str(blobs), "crops-train"):
        assert text.encode() not in trained.weights[0].read_bytes()


def test_a_checkpoint_names_no_class_of_the_library(trained):
    import torch

    unknown = torch.serialization.get_unsafe_globals_in_checkpoint(str(trained.weights[0]))
    assert set(unknown) <= {"cytoyolo.detector.library_network.rebuilt"}


def test_the_same_training_gives_the_same_bytes(trained, blobs, tmp_path):
    again = train_classifier(blobs / "dataset", output=tmp_path / "run", **TINY)
    assert again.weights[0].read_bytes() == trained.weights[0].read_bytes()
    assert (again.folder / "metrics.csv").read_bytes() == (trained.folder / "metrics.csv").read_bytes()


def test_an_interrupted_run_goes_on_with_the_same_call(blobs, tmp_path, monkeypatch):
    run = tmp_path / "run"

    def killed(trainer):
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(training.progress.CALLBACKS, "on_train_epoch_start", killed)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(blobs / "dataset", output=run, **TINY)
    first = load_checkpoint(run / "engine" / "weights" / "resume.pt")["model"].state_dict()
    done = train_classifier(blobs / "dataset", output=run, **TINY)
    assert json.loads((run / "manifest.json").read_text())["resumed"] == [1]
    assert pd.read_csv(run / "metrics.csv")["epoch"].tolist() == [1, 2]
    last = load_checkpoint(run / "weights" / "last.pt")["model"].state_dict()
    moved = [float((last[name] - first[name]).abs().mean()) for name in first if name.endswith("conv1.0.weight")]
    assert 0 < moved[0] < 0.02  # it went on, and did not begin anew
    open_classifier(done.weights[0], "torch", "cpu")


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_an_export_says_what_the_checkpoint_says(trained, tmp_path, blobs, format):
    made = export(trained.weights[0], output=tmp_path / ("a.onnx" if format == "onnx" else "a"), format=format).output
    one, other = open_classifier(trained.weights[0], "torch", "cpu"), open_classifier(made, device="cpu")
    assert one.network.facts == other.network.facts
    np.testing.assert_allclose(one.probabilities(*cells(blobs)), other.probabilities(*cells(blobs)), atol=1e-5)


def test_a_detector_lets_it_name_the_boxes(trained, small_run, blobs):
    image, _ = cells(blobs)
    detector = Detector(
        small_run / "weights" / "best.pt", classifiers=[trained.weights[0]], model_weights=[0, 1], device="cpu"
    )
    found = detector.predict([image], conf=0.001)[0]
    assert len(found)
    named = open_classifier(trained.weights[0], device="cpu").probabilities(image, found.xyxy)
    assert (found.class_id == named.argmax(axis=1)).all()


@pytest.mark.slow
def test_folds_name_the_cells_that_they_have_not_seen(blobs, tmp_path):
    convert(blobs / "labels.csv", images=blobs / "images", output=tmp_path / "d", dataset=blobs / "spec.yaml", folds=2)
    made = train_classifier(tmp_path / "d", output=tmp_path / "cv", folds=True, **{**TINY, "epochs": 1})
    table = pd.read_csv(made.oof)
    assert len(table) == len(pd.read_csv(blobs / "labels.csv")) and len(made.weights) == 2
    np.testing.assert_allclose(table[["p_dark", "p_pale"]].sum(axis=1), 1, atol=2e-6)
    with pytest.raises(UsageError, match="has no layer for dropout"):
        train_classifier(tmp_path / "d", output=tmp_path / "other", folds=True, **TINY, dropout=0.2)
    assert not (tmp_path / "other").exists()


def test_a_weights_file_gives_everything_but_the_last_layer(blobs, tmp_path, some_weights, printed, capsys):
    import torch

    from cytoyolo.detector.library_weights import start_model

    settings = {"imgsz": 64, "pretrained": str(some_weights)}
    network = start_model(parse_library_network(SMALL), ("dark", "pale"), settings).network
    given, own = torch.load(some_weights, weights_only=True), network.state_dict()
    assert {name for name in own if own[name].shape != given[name].shape} == {"fc.weight", "fc.bias"}
    assert all((own[name] == given[name]).all() for name in own if not name.startswith("fc."))
    shutil.copyfile(some_weights, tmp_path / "copy.pth")
    started = find_classifier_start({"model": SMALL, "pretrained": str(tmp_path / "copy.pth")}, asked=True)
    assert started.pretrained == str((tmp_path / "copy.pth").absolute())
    run = train_classifier(
        blobs / "dataset", output=tmp_path / "run", **{**TINY, "epochs": 1}, pretrained=str(tmp_path / "copy.pth")
    ).folder
    assert f"{SMALL} starts from the weights in {tmp_path / 'copy.pth'}, with a new last layer." in " ".join(
        capsys.readouterr().err.split()
    )
    start = json.loads((run / "manifest.json").read_text())["start"]
    assert start["name"] == SMALL and start["pretrained"] == "copy.pth" and len(start["sha256"]) == 64
    train_classifier(blobs / "dataset", output=tmp_path / "other", **{**TINY, "epochs": 1})
    assert "starts from random weights; --set pretrained=FILE" in " ".join(capsys.readouterr().err.split())


def test_weights_of_another_network_are_refused(blobs, tmp_path, some_weights):
    import torch

    call = {**TINY, "model": "torchvision:squeezenet1_1"}
    with pytest.raises(CytoyoloError, match=r"shufflenet.pth does not have the weights of torchvision:squeezenet1_1"):
        train_classifier(blobs / "dataset", output=tmp_path / "run", **call, pretrained=str(some_weights))
    state = torch.load(some_weights, weights_only=True)
    del state["conv1.0.weight"]
    torch.save(state, tmp_path / "part.pth")
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    torch.save({**state, "conv1.0.weight": torch.full((24, 3, 3, 3), float("nan"))}, tmp_path / "nan.pth")
    (tmp_path / "text.pth").write_text("these are no weights, only words")
    torch.save({**state, "run": print}, tmp_path / "code.pth")
    for name, words in (
        ("part.pth", r"does not have the weights of .* \(1 of \d+ tensors, such as conv1.0.weight\)"),
        ("none.pth", "holds no numbers of a network by name"),
        ("nan.pth", "not finite numbers, such as conv1.0.weight"),
        ("text.pth", "is a text file"),
        ("code.pth", "holds code or objects besides numbers, and was not loaded"),
        ("missing.pth", "no such weights file"),
    ):
        with pytest.raises(CytoyoloError, match=words):
            train_classifier(blobs / "dataset", output=tmp_path / "run", **TINY, pretrained=str(tmp_path / name))
    assert not (tmp_path / "run").exists()


def test_a_classifier_that_starts_from_another_keeps_its_classes_by_their_codes(trained):
    from cytoyolo.detector.library_weights import start_model

    weights = load_checkpoint(trained.weights[0])["model"].float()
    before = weights.network.state_dict()
    start = find_classifier_start({"model": str(trained.weights[0])}, asked=True)
    assert start.network == library.LibraryNetwork("torchvision", "shufflenet_v2_x0_5") and start.pretrained is None
    after = start_model(start.network, ("pale", "new", "dark"), {"imgsz": 64}, weights).network.state_dict()
    assert (after["fc.weight"][[2, 0]] == before["fc.weight"]).all() and len(after["fc.weight"]) == 3
    assert all((after[name] == before[name]).all() for name in before if not name.startswith("fc."))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "torchvision:resnet"}, r"torchvision has no classifier of this name \(near: .*resnet18"),
        ({"model": "torchvision:fcn_resnet50"}, "torchvision has no classifier of this name"),
        ({"model": "torchvision:inception_v3"}, r"can't be trained on crops of 64 px \(.*\); give imgsz=96"),
        ({"dropout": 0.2}, "shufflenet_v2_x0_5 has no layer for dropout"),
        ({"freeze": 3}, "freeze counts the layers of YOLO's own networks"),
        ({"imgsz": 32, "batch": "one over"}, "the last batch of an epoch has one crop of 32 px"),
        ({"model": "yolo11n.yaml", "pretrained": "a.pth"}, "yolo11n.yaml is no such network; leave pretrained out"),
        ({"pretrained": True}, "give the path of a weights file as text"),
        ({"model": "other:resnet18"}, "or a network such as yolo11n-cls.yaml or torchvision:resnet18"),
    ],
)
def test_what_can_not_be_trained_is_refused_at_once(blobs, tmp_path, settings, words, trained):
    if settings.get("batch"):
        from cytoyolo.commands.train_classifier_cells import parts_of
        from cytoyolo.yolo.folder import load_dataset

        settings = {**settings, "batch": len(parts_of(load_dataset(blobs / "dataset"), None)["train"]) - 1}
    with pytest.raises(UsageError, match=words) as error:
        train_classifier(blobs / "dataset", output=tmp_path / "run", **{**TINY, **settings})
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_timm_is_asked_for_where_it_is_not_installed(blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "find_spec", lambda name: None if name == "timm" else object())
    with pytest.raises(CytoyoloError, match=r"timm:resnet18 needs timm, which is not installed; pip install 'cytoyolo"):
        train_classifier(blobs / "dataset", output=tmp_path / "run", **{**TINY, "model": "timm:resnet18"})


def test_a_file_of_the_networks_name_is_not_guessed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / SMALL).write_text("")
    with pytest.raises(UsageError, match="a file of this name exists in this folder too"):
        find_classifier_start({"model": SMALL}, asked=True)


def test_a_detector_is_not_trained_from_it(blobs, tmp_path, trained):
    settings = {"epochs": 1, "imgsz": 64, "device": "cpu"}
    with pytest.raises(CytoyoloError, match="is a classifier around the network torchvision:shufflenet_v2_x0_5"):
        train(blobs / "dataset", output=tmp_path / "run", model=str(trained.weights[0]), **settings)
    with pytest.raises(UsageError, match=r"give a .pt file, .*or a network such as yolo11n.yaml"):
        train(blobs / "dataset", output=tmp_path / "run", model=SMALL, **settings)


def test_a_checkpoint_of_a_library_that_is_missing_or_other_is_refused_in_a_sentence(trained, tmp_path, monkeypatch):
    import torch

    from cytoyolo.detector import library_network

    content = load_checkpoint(trained.weights[0])
    network = content["model"]
    good = dict(network.yaml)
    for change, words in (
        ({"network": "resnet18"}, "holds a network that can't be made again"),
        ({"library": "torchvision", "network": "hf-hub:me/code"}, r"can't be made again \(there is no torchvision:hf"),
        ({"library": "os", "network": "system"}, "holds a network that can't be made again"),
        ({"nc": 10**9}, "its numbers contradict each other"),
        ({"side": 10**6}, "its numbers contradict each other"),
    ):
        network.yaml = {**good, **change}
        torch.save(content, tmp_path / "odd.pt")
        with pytest.raises(CytoyoloError, match=words) as error:
            open_classifier(tmp_path / "odd.pt", device="cpu")
        assert str(error.value).startswith(str(tmp_path / "odd.pt")) and str(error.value).count(".") < 12
    network.yaml = {**good, "library": "timm", "network": "convnext_atto"}
    torch.save(content, tmp_path / "timm.pt")
    monkeypatch.setattr(library, "find_spec", lambda name: None)
    with pytest.raises(CytoyoloError, match=r"is a classifier of timm: .* needs timm, which is not installed"):
        open_classifier(tmp_path / "timm.pt", device="cpu")
    assert library_network.rebuilt.__module__ == "cytoyolo.detector.library_network"  # which checkpoints name


@pytest.mark.parametrize("name", ["test_resnet.r160_in1k", "test_vit.r160_in1k"])
def test_a_network_of_timm_is_trained_from_its_weights(blobs, tmp_path, name):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    import torch

    from cytoyolo.detector.library_weights import start_model

    torch.manual_seed(5)
    source = timm.create_model(name.partition(".")[0])  # 160 px, so a transformer's positions are fitted to 64 px
    file = tmp_path / "weights.pth"
    torch.save(source.state_dict(), file)
    start, settings = parse_library_network(f"timm:{name}"), {"imgsz": 64, "pretrained": str(file)}
    network = start_model(start, ("dark", "pale"), settings).network
    given, own = source.state_dict(), network.state_dict()
    other = {one for one in own if own[one].shape != given[one].shape}
    assert all(one.startswith(source.pretrained_cfg["classifier"]) or one == "pos_embed" for one in other)
    assert all((own[one] == given[one]).all() for one in own if one not in other)
    made = train_classifier(
        blobs / "dataset", output=tmp_path / "run", **{**TINY, "model": f"timm:{name}"}, pretrained=str(file)
    )
    stored = load_checkpoint(made.weights[0])["model"].yaml
    assert tuple(stored["mean"]) == source.pretrained_cfg["mean"] and stored["network"] == name
    export(made.weights[0], output=tmp_path / "a.onnx")
    one, other = open_classifier(made.weights[0], "torch", "cpu"), open_classifier(tmp_path / "a.onnx", device="cpu")
    np.testing.assert_allclose(one.probabilities(*cells(blobs)), other.probabilities(*cells(blobs)), atol=1e-5)
    del given[next(iter(given))]
    torch.save(given, file)
    with pytest.raises(CytoyoloError, match=r"weights.pth does not have the weights of timm:test"):
        start_model(start, ("dark", "pale"), settings)


def test_a_name_of_timms_hub_is_refused(blobs, tmp_path):
    pytest.importorskip("timm", reason="timm is not installed")
    for name in ("hf-hub:me/code", "local-dir:.", "test_resnet.no_such_tag"):
        with pytest.raises(UsageError, match="timm has no classifier of this name"):
            train_classifier(blobs / "dataset", output=tmp_path / "run", **{**TINY, "model": f"timm:{name}"})


def test_an_adaptation_trains_all_of_its_layers(trained):
    from cytoyolo.commands.adapt_inputs import GivenWeights, classifier_recipe
    from cytoyolo.detector.calibrated_weights import model_info

    info = model_info(trained.weights[0])
    recipe = classifier_recipe(GivenWeights(trained.weights[0], info, trained.weights[0], info), {"seed": 3})
    assert (recipe["freeze"], recipe["imgsz"], recipe["model"]) == (0, 64, str(trained.weights[0]))
    assert find_classifier_start(recipe, asked=True).network == parse_library_network(SMALL)

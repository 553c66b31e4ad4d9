"""A classifier behind each runtime, what it refuses, and what its exports say."""

import json

import numpy as np
import pytest

from cytoyolo.detector.classifier import open_classifier
from cytoyolo.detector.crops import Crop, crops
from cytoyolo.detector.export import stored_facts, write_onnx, write_openvino
from cytoyolo.detector.model_info import parse_model_info
from cytoyolo.detector.networks import open_network
from cytoyolo.detector.predict import Detector
from cytoyolo.errors import CytoyoloError
from cytoyolo.spec import load_spec
from tests.classifiers import MARGIN, SIDE, untrained
from tests.pictures import photo

BOXES = np.array([[5, 5, 40, 40], [-10, 20, 30, 60], [50, 30, 78, 71], [60, 60, 64, 63]])


@pytest.fixture(scope="module")
def forms(classifier_weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    write_onnx(classifier_weights, folder / "best.onnx")
    write_openvino(classifier_weights, folder / "best_openvino")
    return {"torch": classifier_weights, "onnx": folder / "best.onnx", "openvino": folder / "best_openvino"}


@pytest.fixture
def image():
    smooth = np.asarray(photo(80, 72)).copy()
    smooth[:36, :40] //= 3  # cells of different colours
    smooth[40:, 40:, 1] //= 2
    return smooth


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
def test_rows_are_probabilities_of_the_crops(forms, image, backend):
    classifier = open_classifier(forms[backend], device="cpu", backend=backend)
    assert classifier.codes == load_spec("wbc5").codes
    assert classifier.crop == Crop(SIDE, MARGIN)
    found = classifier.probabilities(image, BOXES)
    assert found.shape == (4, 5) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert np.ptp(found, axis=0).max() > 0.01  # cells differ
    alone = np.concatenate([classifier.probabilities(image, box[None]) for box in BOXES])
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert classifier.probabilities(image, np.zeros((0, 4))).shape == (0, 5)


def test_the_network_is_asked_for_the_softmax_of_its_crops(forms, image):
    import torch

    from cytoyolo.detector.weights import load_network

    network = load_network(forms["torch"])[0].float().eval()
    squares = crops(image, BOXES, SIDE, MARGIN)
    with torch.inference_mode():
        logits = network(torch.from_numpy(squares[..., ::-1].transpose(0, 3, 1, 2) / np.float32(255)))[1].numpy()
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for backend, path in forms.items():
        found = open_classifier(path, backend=backend, device="cpu").probabilities(image, BOXES)
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_checkpoint_is_converted_for_the_fastest_runtime(forms, image):
    chosen = open_classifier(forms["torch"], device="cpu")
    assert chosen.network.backend == "onnx"
    wanted = open_classifier(forms["onnx"], device="cpu").probabilities(image, BOXES)
    np.testing.assert_array_equal(chosen.probabilities(image, BOXES), wanted)


def test_exports_carry_the_same_facts(forms):
    facts = open_network(forms["torch"], "torch", "cpu", task="classify").facts
    assert facts.spec == load_spec("wbc5") and facts.task == "classify"
    assert stored_facts(forms["onnx"]) == facts
    assert parse_model_info((forms["openvino"] / "cytoyolo.json").read_text(), forms["openvino"]) == facts
    stored = json.loads(facts.to_json())
    for wrong in ({"side": 0, "margin": 0.2}, {"side": 32}, [32, 0.2]):
        with pytest.raises(CytoyoloError, match="damaged description"):
            parse_model_info(json.dumps({**stored, "crop": wrong}), forms["onnx"])


def test_an_export_tells_other_programs_that_it_classifies(forms):
    import onnx

    told = {entry.key: entry.value for entry in onnx.load(forms["onnx"]).metadata_props}
    assert told["task"] == "classify" and told["imgsz"] == f"[{SIDE}, {SIDE}]"


def test_a_detector_is_no_classifier_and_the_other_way_round(forms, small_run, tmp_path):
    detector = small_run / "weights" / "best.pt"
    write_onnx(detector, tmp_path / "detector.onnx")
    for path in (detector, tmp_path / "detector.onnx"):
        with pytest.raises(CytoyoloError, match=r"is a detector, and a classifier is needed"):
            open_classifier(path, device="cpu")
    for path in forms.values():
        with pytest.raises(CytoyoloError, match=r"is a classifier, and a detector is needed"):
            Detector(path, device="cpu")


def test_a_classifier_of_another_program_is_refused(classifier_weights, tmp_path):
    import torch

    from cytoyolo.detector.weights import load_checkpoint

    content = load_checkpoint(classifier_weights)
    del content["cytoyolo"]
    torch.save(content, tmp_path / "plain.pt")
    for opener in (open_classifier, Detector):
        with pytest.raises(CytoyoloError, match="'classify', not a detector, and it does not say how it takes cells"):
            opener(tmp_path / "plain.pt", device="cpu")
    untrained(tmp_path / "odd.pt", load_spec("wbc5"), Crop(32, 0.1))
    content = load_checkpoint(tmp_path / "odd.pt")
    content["cytoyolo"]["crop"]["side"] = -3
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(CytoyoloError, match="damaged description of its crops"):
        open_classifier(tmp_path / "odd.pt", device="cpu")


def test_a_network_that_gives_no_numbers_is_refused(classifier_weights, tmp_path, image):
    import torch

    from cytoyolo.detector.weights import load_checkpoint

    content = load_checkpoint(classifier_weights)
    content["model"].model[-1].linear.bias.data[0] = float("nan")
    torch.save(content, tmp_path / "nan.pt")
    with pytest.raises(CytoyoloError, match="weights that are not finite numbers"):
        open_classifier(tmp_path / "nan.pt", device="cpu")

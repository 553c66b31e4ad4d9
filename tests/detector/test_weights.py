"""Weight files: what is loaded, what is refused unrun, what a sealed checkpoint holds."""

import pickle
import zipfile

import numpy as np
import pytest

from cytoyolo.detector.engine import engine
from cytoyolo.detector.predict import Detector
from cytoyolo.detector.weights import detector_codes, find_start, load_checkpoint, seal, stored_spec
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.spec import load_spec


class Bomb:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.fixture
def network():
    engine()
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel("yolo11n.yaml", nc=5, verbose=False)
    model.names = dict(enumerate(load_spec("wbc5").codes))
    model.args = {"data": "/secret/data.yaml", "imgsz": 64}
    model.pt_path = "/secret/start.pt"
    return model


@pytest.fixture
def checkpoint(network, tmp_path):
    import torch

    path = tmp_path / "trained.pt"
    content = {
        "model": None,
        "ema": network,
        "epoch": 3,
        "train_args": {"project": "/secret", "data": "/secret/data.yaml", "imgsz": 64, "epochs": 4},
        "train_metrics": {"fitness": 0.5},
        "date": "2026-01-01",
        "git": {"root": "/secret"},
        "version": "8",
        "license": "AGPL-3.0",
    }
    torch.save(content, path)
    return path


def test_a_pickle_that_runs_code_is_not_run(tmp_path):
    import torch

    for name, save in {"plain.pt": pickle.dumps, "zipped.pt": None}.items():
        path, target = tmp_path / name, tmp_path / f"{name}.ran"
        if save:
            path.write_bytes(pickle.dumps({"model": Bomb(target)}))
        else:
            torch.save({"model": Bomb(target)}, path)
        with pytest.raises(CytoyoloError, match="was not loaded"):
            load_checkpoint(path)
        assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80", b"PK\x03\x04 cut"])
def test_what_is_no_checkpoint_is_one_sentence(tmp_path, content):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(CytoyoloError) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_truncated_weights_are_refused_and_kept(checkpoint):
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CytoyoloError, match="truncated"):
        load_checkpoint(checkpoint)
    assert checkpoint.stat().st_size == len(whole) // 2


def test_a_damaged_file_with_an_official_name_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yolo11n.pt").write_bytes(b"mine")
    with pytest.raises(CytoyoloError):
        find_start("yolo11n.pt", asked=True)
    assert (tmp_path / "yolo11n.pt").read_bytes() == b"mine"


def test_tensors_without_a_network_are_refused(tmp_path):
    import torch

    path = tmp_path / "tensors.pt"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(CytoyoloError, match="no YOLO network"):
        load_checkpoint(path)


def test_missing_weights_are_a_usage_error(tmp_path):
    with pytest.raises(UsageError):
        load_checkpoint(tmp_path / "none.pt")


def test_sealing_keeps_the_network_and_no_trace_of_the_machine(checkpoint, tmp_path, network):
    spec = load_spec("wbc5")
    for name in ("a.pt", "b.pt"):
        seal(checkpoint, tmp_path / name, spec, {"labels": "abc"})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert not any(b"secret" in archive.read(name) for name in archive.namelist())
    sealed = load_checkpoint(tmp_path / "a.pt")
    assert stored_spec(sealed) == spec
    assert sealed["cytoyolo"]["labels"] == "abc"
    assert sealed["train_args"]["imgsz"] == 64
    from ultralytics import YOLO

    assert YOLO(tmp_path / "a.pt").names == network.names


def test_official_weights_are_only_downloaded_when_asked_for(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path / "home"))
    with pytest.raises(UsageError, match=r"model='yolo11n\.pt'"):
        find_start("yolo11n.pt", asked=False)


@pytest.mark.parametrize("model", ["yolo99n.yaml", "weights.onnx", "none.pt"])
def test_an_unknown_start_is_a_usage_error(model):
    with pytest.raises(UsageError):
        find_start(model, asked=True)


def test_a_network_by_name_and_by_file(tmp_path):
    assert find_start("yolo11n.yaml", asked=True).model == "yolo11n.yaml"
    with pytest.raises(UsageError):
        bad = tmp_path / "bad.yaml"
        bad.write_text("hello: world")
        find_start(str(bad), asked=True)


def test_a_network_of_torchvision_is_refused_before_it_is_built(network, tmp_path):
    import torch

    layers = "[[-1, 1, TorchVision, [512, resnet18, DEFAULT, True, 2]], [-1, 1, Classify, [nc]]]"
    (tmp_path / "vision.yaml").write_text(f"nc: 2\nbackbone: {layers}\nhead: []\n")
    network.yaml["backbone"][0][2] = "TorchVision"
    torch.save({"model": network}, tmp_path / "vision.pt")
    for name in ("vision.yaml", "vision.pt"):
        with pytest.raises(CytoyoloError, match=f"{name} is built on a network of torchvision"):
            find_start(str(tmp_path / name), asked=True)


def test_a_link_to_weights_keeps_its_name(network, tmp_path):
    import torch

    torch.save({"model": network}, tmp_path / "blob")
    (tmp_path / "best.pt").symlink_to("blob")
    assert find_start(str(tmp_path / "best.pt"), asked=True).model == str(tmp_path / "best.pt")


def test_pose_weights_start_a_detector(shared):
    weights = shared.parent / "weights" / "yolo11n-pose.pt"
    start = find_start(str(weights), asked=True)
    assert start.model == "yolo11n.yaml"
    assert start.pretrained == str(weights.absolute())


@pytest.mark.parametrize(
    "names",
    [
        {1: "a", 2: "b", 3: "c", 4: "d", 5: "e"},
        {0: "a"},
        dict.fromkeys(range(5), "a"),
        dict(enumerate(range(5))),
        {**dict(enumerate("abcd")), 4: ["e"]},
        None,
    ],
    ids=["from 1", "too few", "repeated", "numbers", "a list", "none"],
)
def test_a_detector_has_a_name_for_each_class(network, names, tmp_path):
    network.names = names
    with pytest.raises(CytoyoloError, match="does not have 5 different names for its classes"):
        detector_codes(network, tmp_path / "x.pt")


@pytest.mark.parametrize("form", [list, tuple, lambda names: {str(key): name for key, name in enumerate(names)}])
def test_names_may_be_a_list_or_numbered_by_text(network, form, tmp_path):
    network.names = form(load_spec("wbc5").codes)
    assert detector_codes(network, tmp_path / "x.pt") == load_spec("wbc5").codes


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(network, value, tmp_path):
    import torch

    with torch.no_grad():
        next(iter(network.model[-1].parameters())).view(-1)[3] = value
    torch.save({"model": network, "train_args": {"imgsz": 64}}, tmp_path / "a.pt")
    for use in (lambda path: Detector(path, device="cpu"), lambda path: find_start(str(path), asked=True)):
        with pytest.raises(CytoyoloError, match=r"a\.pt has weights that are not finite numbers, in 1 of"):
            use(tmp_path / "a.pt")


def test_networks_that_are_no_detector_of_colour_images_are_refused(network, tmp_path):
    from ultralytics.nn.tasks import DetectionModel, PoseModel

    assert detector_codes(network, tmp_path / "x.pt") == load_spec("wbc5").codes
    pose, gray = PoseModel("yolo11n-pose.yaml", verbose=False), DetectionModel("yolo11n.yaml", ch=1, verbose=False)
    pose.task = "pose"
    for wrong in (pose, gray):
        with pytest.raises(CytoyoloError, match="detector"):
            detector_codes(wrong, tmp_path / "x.pt")


@pytest.mark.parametrize(("settings", "works"), [({"imgsz": 96}, True), ({"imgsz": [64, 96]}, False), (None, True)])
def test_the_size_comes_from_the_training_or_is_asked_for(network, settings, works, tmp_path):
    import torch

    path = tmp_path / "x.pt"
    torch.save({"model": network, "train_args": settings}, path)
    if works:
        assert Detector(path, device="cpu").imgsz == (96 if settings else 640)
        return
    with pytest.raises(UsageError, match="`imgsz`, a multiple of 32"):
        Detector(path, device="cpu")
    assert Detector(path, imgsz=64, device="cpu").imgsz == 64


def test_weights_that_carry_another_description_are_refused(checkpoint, tmp_path):
    seal(checkpoint, tmp_path / "a.pt", load_spec("pbc3"), {})
    with pytest.raises(CytoyoloError, match="with other classes than its network"):
        Detector(tmp_path / "a.pt", device="cpu")


@pytest.mark.parametrize("form", [list, tuple, lambda codes: {str(at): code for at, code in enumerate(codes)}])
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_names_are_read_in_each_form_by_each_backend(form, backend, network, tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("CYTOYOLO_HOME", str(tmp_path / "home"))
    codes = load_spec("wbc5").codes
    network.names = form(codes)
    torch.save({"model": network, "train_args": {"imgsz": 64}}, tmp_path / "a.pt")
    detector = Detector(tmp_path / "a.pt", backend=backend, device="cpu")
    assert detector.codes == codes
    assert detector.predict(np.zeros((64, 64, 3), np.uint8)).codes == codes


def test_a_side_that_no_machine_has_the_memory_for_is_refused(checkpoint):
    for backend in ("torch", "onnx"):
        with pytest.raises(UsageError, match="can't take images of 32,000,000 px; give `imgsz`, at most 16,384"):
            Detector(checkpoint, imgsz=32_000_000, backend=backend, device="cpu")


def test_one_changed_byte_of_the_weights_is_found(checkpoint):
    with zipfile.ZipFile(checkpoint) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    data = bytearray(checkpoint.read_bytes())
    data[largest.header_offset + largest.file_size // 2] ^= 1
    checkpoint.write_bytes(data)
    name = largest.filename.rpartition("/")[2]
    with pytest.raises(CytoyoloError, match=rf"is damaged \(the checksum of its part {name} is wrong\)"):
        load_checkpoint(checkpoint)

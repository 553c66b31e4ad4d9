"""Files that are no checkpoint of a YOLO detector are named as what they are, and nothing in them is run."""

import gzip
import json
import pickle
import re
import sys
import types
import zipfile

import numpy as np
import pytest

from cytoyolo.detector.engine import engine
from cytoyolo.detector.foreign import name_unreadable
from cytoyolo.detector.weights import load_checkpoint
from cytoyolo.errors import CytoyoloError


def told(path):
    """The sentence about a file, which names it and is one line."""
    with pytest.raises(CytoyoloError) as error:
        load_checkpoint(path)
    text = str(error.value)
    assert text.startswith(str(path)) and "\n" not in text and text.endswith(".")
    return text


HEADER = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "Git LFS"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"<HTML lang=en>404", "web page"),
        (b'<?xml version="1.0"?><net name="x"/>', "XML"),
        (len(HEADER).to_bytes(8, "little") + HEADER + bytes(4), "safetensors"),
        (b'{"error": "not found"}', "text file"),
        (gzip.compress(b"x" * 100, mtime=0), "gzip"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "Keras"),
        (b"\x1c\0\0\0TFL3" + bytes(64), "TensorFlow Lite"),
        (
            b"\x08\x08\x12\x07pytorch\x1a\x052.1.0" + bytes(99),
            "is an ONNX network; to predict with it name it FILE.onnx",
        ),
        (b"\xff\xd8\xff\xe0" + bytes(99), "picture"),
        (bytes(range(129, 256)), "not a PyTorch checkpoint, or is truncated"),
    ],
)
def test_a_file_is_named_by_its_first_bytes(tmp_path, content, what):
    (tmp_path / "best.pt").write_bytes(content)
    assert what in told(tmp_path / "best.pt")


@pytest.fixture
def stranger(monkeypatch):
    """Makes an object of a class of this module and name, which the checkpoint refers to and nobody has."""

    def make(module, name):
        made = types.ModuleType(module)
        kind = type(name, (), {"__module__": module})
        setattr(made, name, kind)
        parts = module.split(".")
        for count in range(1, len(parts)):
            monkeypatch.setitem(sys.modules, ".".join(parts[:count]), types.ModuleType(parts[0]))
        monkeypatch.setitem(sys.modules, module, made)
        return kind()

    return make


@pytest.mark.parametrize(
    ("module", "name", "what"),
    [
        ("models.yolo", "DetectionModel", "YOLOv5"),
        ("models.yolo", "Model", "YOLOv5"),
        ("models.common", "C3", "the YOLOv5 repository"),
        ("models.common", "SPPCSPC", "the YOLOv7 repository"),
        ("models.common", "RepNCSPELAN4", "the YOLOv9 repository"),
        ("yolox.models.yolox", "YOLOX", "YOLOX"),
        ("mmdet.models", "YOLOV3", "MMDetection"),
        ("torchvision.models.resnet", "ResNet", "torchvision"),
        ("mylab.nets", "Net", r"not a YOLO network \(mylab.nets.Net\), and was not loaded"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_of_another_program_is_named(tmp_path, stranger, module, name, what, zipped, monkeypatch):
    import torch

    content = {"epoch": 1, "model": stranger(module, name)}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    monkeypatch.undo()
    assert re.search(what, told(tmp_path / "a.pt"))


def test_a_checkpoint_of_another_release_of_ultralytics_is_named(tmp_path, monkeypatch):
    import torch

    engine()
    import ultralytics
    from ultralytics.nn.modules import block

    new = type("C9z", (block.C3k2,), {"__module__": block.__name__})
    monkeypatch.setattr(block, "C9z", new, raising=False)
    network = new(8, 8)
    torch.save({"model": network, "version": "9.1.0"}, tmp_path / "newer.pt")
    monkeypatch.undo()
    text = told(tmp_path / "newer.pt")
    assert "made by Ultralytics 9.1.0" in text and f"installed {ultralytics.__version__}" in text and "C9z" in text


@pytest.mark.slow
def test_a_network_saved_in_another_way_is_named(tmp_path):
    import torch

    engine()
    from ultralytics import YOLO

    model = YOLO("yolo11n.yaml")
    path = tmp_path / "a.pt"
    torch.save(model, path)
    assert "holds more than a network (ultralytics.models.yolo.model.YOLO)" in told(path)
    torch.save({"model": model.model}, path, _use_new_zipfile_serialization=False)
    assert "PyTorch's old file format" in name_unreadable(path)[0]  # where no earlier file has made its classes known
    torch.save(model.model, path)
    assert "holds a network without its checkpoint" in told(path)


def test_a_network_built_on_one_of_torchvision_is_named(tmp_path):
    import torch

    engine()
    from ultralytics.nn.modules.block import TorchVision

    part = TorchVision("mobilenet_v3_small", weights=None)
    torch.save({"model": torch.nn.Sequential(part)}, tmp_path / "a.pt")
    assert "is built on a network of torchvision" in told(tmp_path / "a.pt")


def test_numbers_without_a_network_are_named(tmp_path):
    import torch

    one = torch.zeros(2)
    contents = {
        "state_dict": {"model.0.conv.weight": one},
        "MMDetection": {"meta": {}, "state_dict": {"backbone.x": one}},
        "YOLOX": {"model": {"backbone.backbone.stem.conv.conv.weight": one}, "amp": None},
        "Detectron2": {"model": {"backbone.bottom_up.stem.conv1.weight": one}, "iteration": 1},
        "Lightning": {"pytorch-lightning_version": "2", "state_dict": {"a": one}},
        "optimizer without a network": {"optimizer": {"state": {}}, "model": None},
        "without the names of its classes": {"model": torch.nn.Conv2d(1, 1, 1)},
        "does not contain a YOLO network": [1, 2],
    }
    for what, content in contents.items():
        torch.save(content, tmp_path / "a.pt")
        assert what in told(tmp_path / "a.pt")


def test_archives_are_named(tmp_path):
    import torch

    path = tmp_path / "a.pt"
    torch.jit.trace(torch.nn.ReLU(), torch.zeros(1)).save(path)
    assert "TorchScript" in told(path)
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(2))
    assert "NumPy archive" in told(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/best.pt", b"x")
    assert "zip archive; unpack it first" in told(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    assert "was not loaded" in told(path)

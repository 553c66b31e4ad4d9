"""The facts of Ultralytics this package relies on; a new release must pass these before its pin moves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cytoyolo.detector import engine_source, recipes
from cytoyolo.detector.engine import choose_device, engine
from cytoyolo.errors import UsageError
from cytoyolo.machine import cores

engine()


def test_the_engine_is_offline_and_its_integrations_are_off():
    from ultralytics.utils import AUTOINSTALL, ONLINE, SAFE_LOAD, SETTINGS
    from ultralytics.utils.events import Events

    assert not ONLINE and not AUTOINSTALL and SAFE_LOAD
    assert not any(value is True for value in SETTINGS.values())
    assert not Events().enabled


def test_fonts_are_where_the_engine_looks():
    from ultralytics.utils.checks import check_font

    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        assert Path(check_font(name)).is_file()


def test_all_cores_compute():
    import torch
    from ultralytics.utils.torch_utils import select_device

    select_device("cpu", verbose=False)
    assert torch.get_num_threads() == cores()


@pytest.mark.slow
def test_waiting_threads_sleep_unless_the_user_says_otherwise():
    code = "import os; from cytoyolo.detector.engine import engine; engine(); print(os.environ['GOMP_SPINCOUNT'])"
    own = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    for given, seen in (({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7")):
        done = subprocess.run([sys.executable, "-c", code], env={**own, **given}, capture_output=True, text=True)
        assert done.stdout.strip() == seen, done.stderr


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_the_engines_guards_pass_over_errors_but_not_over_interrupts(interrupt):
    from ultralytics.utils import TryExcept

    with TryExcept(verbose=False):
        raise ValueError
    with pytest.raises(interrupt), TryExcept(verbose=False):
        raise interrupt


def test_the_engine_downloads_nothing():
    """Such as the weights a training on a GPU wants for its check of mixed precision."""
    from ultralytics import YOLO
    from ultralytics.utils.downloads import attempt_download_asset

    # By its own words: without a network the engine's own attempt ends in a ConnectionError too.
    with pytest.raises(ConnectionError, match="the network is not used"):
        attempt_download_asset("yolo26n.pt", dir="/nonexistent")
    with pytest.raises(ConnectionError, match="the network is not used"):
        YOLO("/nonexistent/yolo26n.pt")


@pytest.mark.slow
def test_an_engine_that_was_imported_before_is_made_silent_too(tmp_path):
    """And the settings file that it read before stays as it is."""
    code = """
import json, os, sys
from pathlib import Path
os.environ["YOLO_CONFIG_DIR"] = sys.argv[1]
import ultralytics
from ultralytics.utils import SETTINGS_FILE
from ultralytics.engine import trainer, validator
before = SETTINGS_FILE.read_bytes()
from cytoyolo.detector.engine import engine
engine()
from ultralytics.nn import tasks
from ultralytics.utils import LOGGER, SETTINGS, callbacks, checks, downloads, events
from ultralytics.data import utils
assert not (checks.ONLINE or checks.AUTOINSTALL or events.ONLINE or events.events.enabled) and tasks.SAFE_LOAD
assert not any(value is True for value in SETTINGS.values()) and SETTINGS_FILE.read_bytes() == before
assert json.loads(before)["sync"] is True
assert trainer.check_file is tasks.check_file is utils.check_file is checks.check_file
assert Path(checks.check_font("Arial.Unicode.ttf")).is_file()
one = type("Trainer", (), {"callbacks": {}})()
callbacks.add_integration_callbacks(one)
assert not one.callbacks and utils.safe_download is downloads.safe_download and not LOGGER.isEnabledFor(30)
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("YOLO_", "ULTRALYTICS_"))}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**environment, "YOLO_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


NAMES = [
    "a'b.pt", "'quoted'.pt", '"double".pt', " spaces .pt", "sharp#1.pt", "what?.pt", "100%20.pt", "{braces}.pt",
    "st*r.pt", "[1].pt", "éß中.pt", "line\nbreak.pt", "~.pt", "$HOME.pt", "-dash.pt", "CAPITAL.PT", "yolov5n.pt",
    "yolov3-spp.pt", "yolo11n.pt", "https:/x.pt", "ul:/x/y.pt", "no suffix", "a.pt.onnx.pt", ".pt",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_taken_as_it_is(name, tmp_path, monkeypatch):
    """By each look-up of the engine; a file that its own look-up would find instead stands beside it."""
    from ultralytics.data.utils import check_file as of_data
    from ultralytics.engine.trainer import check_file
    from ultralytics.nn.tasks import torch_safe_load
    from ultralytics.utils.downloads import attempt_download_asset

    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    import torch

    for other in (name.replace("'", ""), name.strip(), name.replace("yolov5n", "yolov5nu"), name.partition("?")[0]):
        Path(other or "x").write_bytes(b"not this one")
    with Path(name).open("wb") as file:
        torch.save({"name": name}, file)
    for path in (name, str(tmp_path / name), tmp_path / name):
        assert attempt_download_asset(path) == check_file(path) == of_data(path) == str(path)
        assert torch_safe_load(path, safe_only=True) == ({"name": name}, str(path))


@pytest.mark.parametrize("name", ["https://example.com/a.pt", "ul://a/b/c", "gs://a/b.pt", "/missing/yolo1?.yaml"])
def test_what_is_no_file_is_not_looked_for(name):
    from ultralytics.utils import checks

    with pytest.raises(FileNotFoundError):
        checks.check_file(name)
    assert checks.check_file(name, hard=False) == []
    assert Path(checks.check_file("yolo11.yaml")).is_file()


@pytest.mark.slow
def test_processes_of_several_gpus_are_silent_too(blobs, tmp_path):
    """As the engine starts them, from a file of its own, without a word of this tool's."""
    from ultralytics.utils.dist import generate_ddp_file

    from cytoyolo.detector.trainer import Trainer

    overrides = {"model": "yolo11n.yaml", "data": str(blobs / "dataset" / "data.yaml"), "device": "cpu"}
    file = Path(generate_ddp_file(Trainer(overrides={**overrides, "project": str(tmp_path), "name": "x"})))
    text = file.read_text().replace("trainer.train()", "")
    code = text + "    from ultralytics.utils import downloads; print(downloads.attempt_download_asset.__module__)"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        file.unlink()
        file.with_suffix(".pt").unlink()
    assert done.stdout == "cytoyolo.detector.engine\n", done.stderr


def labels_of(folder):
    """What the engine reads of a YOLO folder's labels, by its own data set."""
    from ultralytics.data.dataset import YOLODataset

    data = {"names": {0: "dark", 1: "pale"}, "nc": 2, "channels": 3}
    found = YOLODataset(img_path=str(folder / "train.txt"), data=data, task="detect", imgsz=64, augment=False)
    return {Path(one["im_file"]).name: (one["cls"].tolist(), one["bboxes"].tolist()) for one in found.labels}


class _Planted:
    """A pickle that does something when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_the_engine_neither_writes_nor_reads_a_cache_of_labels(blobs, tmp_path):
    folder = tmp_path / "dataset"
    shutil.copytree(blobs / "dataset", folder, symlinks=True)
    found = labels_of(folder)
    assert len(found) == len((folder / "train.txt").read_text().splitlines()) > 0
    assert not list(folder.rglob("*.cache"))
    planted = np.array([_Planted(tmp_path / "loaded")], dtype=object)
    with (folder / "labels.cache").open("wb") as file:
        np.save(file, planted, allow_pickle=True)
    before = (folder / "labels.cache").read_bytes()
    name = next(iter(found))
    (folder / "labels" / f"{Path(name).stem}.txt").write_text("1 0.5 0.5 0.25 0.25\n0 0.5 0.5 0.5 0.125\n")
    assert labels_of(folder)[name] == ([[1.0], [0.0]], [[0.5, 0.5, 0.25, 0.25], [0.5, 0.5, 0.5, 0.125]])
    assert not (tmp_path / "loaded").exists()
    assert (folder / "labels.cache").read_bytes() == before


def test_a_training_leaves_no_cache_of_labels(small_run, blobs):
    assert (small_run / "weights" / "last.pt").is_file()
    assert not list(blobs.rglob("*.cache"))


@pytest.mark.parametrize("device", ["gpu", "7", "0,77", "cpu,cpu", "cpu,0", "0,0", ""])
def test_a_device_this_machine_lacks_is_a_usage_error(device):
    with pytest.raises(UsageError, match="device="):
        choose_device(device)


@pytest.mark.parametrize("config", ["yolo11n.yaml", "yolov10n.yaml", "yolo26n.yaml"])
def test_boxes_equal_the_stock_predictors_and_carry_all_probabilities(config, tmp_path):
    """Our batch path against Ultralytics' own predictor on the same network, for the three families of heads."""
    import torch
    from ultralytics import YOLO

    from cytoyolo.detector.predict import Detector
    from cytoyolo.spec import load_spec

    torch.manual_seed(0)
    model = YOLO(config)
    network = model.model
    network.names = dict(enumerate(load_spec("wbc5").codes)) | {index: f"c{index}" for index in range(5, 80)}
    path = tmp_path / "random.pt"
    torch.save({"model": network, "train_args": {"imgsz": 64}, "ema": None}, path)
    images = [np.random.default_rng(seed).integers(0, 255, (70, 90, 3)).astype(np.uint8) for seed in range(3)]
    detector = Detector(path, conf=1e-5, device="cpu")
    detector.max_det = 50
    ours = detector.detect(images)
    stock = YOLO(path).predict(
        images, conf=1e-5, iou=0.4, agnostic_nms=True, imgsz=64, max_det=50, rect=False, verbose=False, save=False
    )
    for mine, theirs in zip(ours, stock, strict=True):
        assert len(mine) == len(theirs.boxes) > 0
        np.testing.assert_allclose(mine.xyxy, theirs.boxes.xyxy.numpy(), atol=1e-3)
        np.testing.assert_allclose(mine.confidence, theirs.boxes.conf.numpy(), atol=1e-6)
        np.testing.assert_array_equal(mine.class_id, theirs.boxes.cls.numpy().astype(int))
        np.testing.assert_array_equal(mine.probabilities.argmax(1), mine.class_id)
        np.testing.assert_array_equal(mine.probabilities.max(1), mine.confidence)


def test_constants_read_from_the_source_are_those_of_the_import():
    from ultralytics import cfg
    from ultralytics.utils import DEFAULT_CFG_DICT
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    assert engine_source.default_settings() == DEFAULT_CFG_DICT
    for kind, keys in engine_source.value_kinds().items():
        assert keys == getattr(cfg, f"CFG_{kind.upper()}_KEYS")
    assert engine_source.quantizations() == cfg.QUANTIZE_ALIASES.keys()
    assert engine_source.least_values() == cfg.CFG_INT_MIN
    assert engine_source.official_weights() == GITHUB_ASSETS_NAMES


@pytest.mark.parametrize("name", ["yolo11n.yaml", "yolov8x6.yaml", "yolo26.yaml", "yolov8n-p2.yaml", "yolov5m6.yaml"])
def test_a_network_that_is_known_is_not_refused_by_its_name(name):
    from ultralytics.nn.tasks import yaml_model_load

    assert yaml_model_load(name) and engine_source.may_know_network(name)
    assert not engine_source.may_know_network("nosuch.yaml")


VALUES = (
    *(True, False, 0, 1, -1, 7, 0.5, -0.5, 2.0, 2.5, "many", "", [0.1, 0.2], None),
    *([5, 3], [1, 0], [0.5, 0.5, 0], [True, 1], [1, 2, 3, 4], ["a", 1], [], [2.5, 1], {"a": 1}),
    *("FP16", "bf16", "fp32", "int8", "W8A16", "8", 8, 16),
)


def test_a_value_is_refused_as_ultralytics_refuses_it():
    """Of settings whose values are not refused for reasons of this tool's own."""
    from ultralytics.cfg import check_cfg

    own = {*recipes._OWN, "epochs", "imgsz", "batch", "seed", "optimizer"}
    for key in engine_source.default_settings().keys() - own:
        for value in VALUES:
            try:
                check_cfg({key: value})
                theirs = True
            except (TypeError, ValueError):
                theirs = False
            assert (recipes.value_fault(key, value) == "") is theirs, (key, value)

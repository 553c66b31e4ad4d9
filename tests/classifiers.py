"""A classifier that was never trained, for tests of what is done with one."""

from pathlib import Path

import pytest

from cytoyolo.detector.crops import Crop
from cytoyolo.spec import DataSpec, load_spec

SIDE, MARGIN = 32, 0.25


def untrained(path: Path, spec: DataSpec, crop: Crop | None = None, seed: int = 0) -> Path:
    """Write the checkpoint of a YOLO11n classifier with random weights, sealed like the weights of a training."""
    from cytoyolo.detector.engine import engine

    engine()
    import torch
    from ultralytics.nn.tasks import ClassificationModel

    from cytoyolo.detector.weights import seal

    torch.manual_seed(seed)
    network = ClassificationModel("yolo11n-cls.yaml", nc=len(spec.codes), verbose=False)
    # A look at colours scales the layers. Otherwise every picture would get the same answer.
    colours = torch.rand(64, 3, 1, 1) + 0.2 * torch.rand(64, 3, SIDE, SIDE)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 0.9
        for _ in range(3):
            network.train()(colours)
        network.model[-1].linear.weight *= 10
    network.names, network.args = dict(enumerate(spec.codes)), {}
    content = {
        "model": network,
        "train_args": {"task": "classify", "imgsz": SIDE},
        "train_metrics": {},
        "version": "8",
        "license": "AGPL-3.0",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = path.with_suffix(".raw.pt")
    torch.save(content, raw)
    seal(raw, path, spec, {"crop": (crop or Crop(SIDE, MARGIN)).to_dict()})
    raw.unlink()
    return path


@pytest.fixture(scope="session")
def classifier_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of an untrained classifier of wbc5's classes."""
    return untrained(tmp_path_factory.mktemp("classifier") / "best.pt", load_spec("wbc5"))

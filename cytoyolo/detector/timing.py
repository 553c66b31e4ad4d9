"""How long a training step takes here, measured on pictures of noise."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cytoyolo.detector.engine import choose_device, engine
from cytoyolo.detector.weights import find_start, load_checkpoint
from cytoyolo.errors import UsageError

_STEPS = 2
# More images at once than this a CPU works through no faster.
_BATCH_ON_CPU = 8


def seconds_per_image(settings: Mapping[str, Any], classes: int, device: str) -> float:
    """Measure the seconds that one image takes in a step forward and back of the recipe's network, at its size, on a
    device.

    Nothing is downloaded. If official weights are not on this machine, the network of the same name is used.
    """
    engine()
    import torch
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils.torch_utils import select_device

    model = str(settings["model"])
    try:
        start = find_start(model, asked=False)
    except UsageError:
        start = find_start(f"{Path(model).stem}.yaml", asked=False)
    description = _description(Path(start.model)) if start.model.endswith(".pt") else start.model
    network = DetectionModel(description, nc=classes, verbose=False)
    chosen = choose_device(device, several=True).split(",")[0]
    where = select_device(chosen, verbose=False)
    batch = min(int(settings["batch"]), _BATCH_ON_CPU) if chosen == "cpu" else int(settings["batch"])
    network.to(where).train()
    pixels = torch.rand(batch, 3, int(settings["imgsz"]), int(settings["imgsz"]), device=where)
    started = 0.0
    for step in range(_STEPS + 1):
        if step == 1:  # the first step warms up
            started = time.perf_counter()
        outputs = network(pixels)
        tensors = outputs.values() if isinstance(outputs, dict) else outputs
        sum(one.float().mean() for one in tensors if isinstance(one, torch.Tensor)).backward()
        if where.type == "cuda":
            torch.cuda.synchronize()
    return (time.perf_counter() - started) / _STEPS / batch


def _description(weights: Path) -> dict[str, Any]:
    """The description of the network in a .pt file."""
    return dict(load_checkpoint(weights)["model"].yaml)

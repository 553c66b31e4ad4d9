"""Networks of other libraries: that each family's last layer, its channels and its export are known."""

import numpy as np
import pytest

from cytoyolo.detector.engine import engine
from cytoyolo.detector.library import LibraryNetwork, names, parse_library_network

engine()

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torchvision import models  # noqa: E402

from cytoyolo.detector.library_network import Pooling, Standardise, build, describe, last_tensors  # noqa: E402
from cytoyolo.detector.library_weights import start_model  # noqa: E402


def families():
    """The smallest network of each module of torchvision."""
    sizes = {name: models.get_model_weights(name).DEFAULT.meta["num_params"] for name in names("torchvision")}
    by_module = {}
    for name in sorted(sizes, key=sizes.get, reverse=True):
        by_module[models.get_model_builder(name).__module__] = name
    return sorted(by_module.values())


@pytest.mark.parametrize("name", families())
def test_the_last_layer_of_each_family_is_known(name):
    network, side = LibraryNetwork("torchvision", name), 224
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        made = build(network, 5, side)
        last = last_tensors(network, made, 5, side)
    shapes = {one: tuple(made.state_dict()[one].shape) for one in last}
    assert len({one.rpartition(".")[0] for one in last}) == 1 and last  # one layer, with or without a bias
    assert all(shape[0] == 5 for shape in shapes.values())
    assert not any("aux" in one.lower() for one in made.state_dict())
    described = describe(network, 5, side, made)
    assert len(described["mean"]) == len(described["std"]) == 3 and min(described["std"]) > 0.1


@pytest.mark.parametrize(
    "text", ["resnet18", "best.pt", "torchvision", "Torchvision:resnet18", "c:/torchvision.pt", None]
)
def test_other_texts_are_no_network_of_a_library(text):
    assert parse_library_network(text) is None


def test_pixels_get_the_mean_and_the_deviation_of_the_librarys_own_transform():
    expects = models.get_model_weights("resnet18").DEFAULT.transforms()
    pixels = torch.rand(2, 3, 5, 4)
    wanted = (pixels - torch.tensor(expects.mean)[:, None, None]) / torch.tensor(expects.std)[:, None, None]
    assert torch.equal(Standardise(expects.mean, expects.std)(pixels), wanted)


@pytest.mark.parametrize(("side", "size"), [((3, 3), (6, 6)), ((2, 5), (7, 7)), ((9, 7), (4, 3)), ((6, 6), (6, 6))])
def test_the_pooling_of_exports_is_that_of_torch(side, size):
    found = torch.rand(2, 4, *side, dtype=torch.float64)
    np.testing.assert_allclose(Pooling(size)(found), nn.AdaptiveAvgPool2d(size)(found), atol=1e-12)


def test_files_of_torchvision_are_read_in_their_older_forms(tmp_path):
    """DenseNets with other names, files without counters, and the checkpoints of training programs."""
    torch.manual_seed(3)
    for name, side, change in (
        ("densenet121", 32, lambda state: {one.replace("norm1.", "norm.1.").replace("conv1.", "conv.1."): state[one]
                                           for one in state}),
        ("squeezenet1_1", 64, lambda state: {"state_dict": {f"module.{one}": state[one] for one in state}, "epoch": 3}),
        ("shufflenet_v2_x0_5", 64, lambda state: {one: state[one] for one in state if "num_batches" not in one}),
    ):  # fmt: skip
        source = models.get_model(name, weights=None, num_classes=7).state_dict()
        torch.save(change(source), tmp_path / f"{name}.pth")
        settings = {"imgsz": side, "pretrained": str(tmp_path / f"{name}.pth")}
        network = start_model(LibraryNetwork("torchvision", name), ("a", "b"), settings).network
        own = network.state_dict()
        same = {one for one in own if own[one].shape == source[one].shape and (own[one] == source[one]).all()}
        assert len(own) - len(same) == 2, name

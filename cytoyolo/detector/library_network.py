"""A network of another library as one of the engine's classifiers: importing this module imports the engine.

It takes pixels from 0 to 1, as all networks of this tool do, and shows them to the library's network as that network's
own weights expect them. A checkpoint holds the name of the network and its numbers, and no class of the library. So
the library makes the network again when the checkpoint is loaded, and nothing in the file is run.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cytoyolo.detector.engine import engine
from cytoyolo.detector.library import TIMM, LibraryNetwork, check_installed, names, parse_library_network
from cytoyolo.detector.model_info import CLASSIFY
from cytoyolo.errors import CytoyoloError

engine()

import torch  # noqa: E402
from torch import nn  # noqa: E402
from ultralytics.nn.tasks import BaseModel  # noqa: E402

# The largest side of crops in pixels, because the side decides how many numbers some networks have.
MAX_LIBRARY_SIDE = 2048
# Two networks of torchvision answer a second time from a middle layer in a training, which a prediction never uses.
# Their weights expect other means than their pixels get, and `transform_input` brings the pixels from one to the other.
_WITHOUT_SECOND_ANSWER = {"aux_logits": False, "init_weights": True, "transform_input": True}


class Standardise(nn.Module):  # type: ignore[misc]
    """Brings pixels from 0 to 1 to the mean and the deviation of each channel that a network expects."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # Not tensors of the network, which a checkpoint would keep in 16 bits.
        self.mean, self.std = [float(value) for value in mean], [float(value) for value in std]

    def forward(self, pixels: Any) -> Any:
        mean, std = (pixels.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (pixels - mean) / std


class Answer(nn.Module):  # type: ignore[misc]
    """The last layer: logits in a training, otherwise probabilities, in the form of the engine's own classifiers."""

    export = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, logits: Any) -> Any:
        if self.training:
            return logits
        shares = logits.softmax(1)
        return shares if self.export else (shares, logits)


class LibraryModel(BaseModel):  # type: ignore[misc]
    """A classifier around a network of a library.

    Parameters
    ----------
    described : mapping
        What the network is made of, as a checkpoint holds it: "library", "network" (its name), "nc" (the number of
        classes), "side" (of the crops in pixels), "mean" and "std" (of each channel).
    network : torch.nn.Module, optional
        The library's network, if it is made already.
    """

    def __init__(self, described: Mapping[str, Any], network: Any = None) -> None:
        super().__init__()
        self.yaml = {**described, "channels": 3}
        self.task = CLASSIFY
        self.args: dict[str, Any] = {}
        self.stride = torch.tensor([1.0])
        self.names = {number: str(number) for number in range(described["nc"])}
        made = build(library_of(described), described["nc"], described["side"]) if network is None else network
        self.model = nn.Sequential(Standardise(described["mean"], described["std"]), made, Answer(described["nc"]))

    @property
    def network(self) -> Any:
        """The library's network."""
        return self.model[1]

    def _predict_once(self, x: Any, profile: bool = False, embed: Any = None) -> Any:
        return self.model(x)

    def is_fused(self) -> bool:
        """No layers are joined for predictions, so it can always be trained on."""
        return False

    def fuse(self, verbose: bool = True, imgsz: int = 640) -> "LibraryModel":
        """Leave the library's layers as they are."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "LibraryModel":
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (dict(self.yaml), dict(self.names), dict(self.args), self.network.state_dict())


class Pooling(nn.Module):  # type: ignore[misc]
    """The average of each part of a map, as the library's adaptive pooling has it, in operations that ONNX has too.

    Examples
    --------
    >>> picture = torch.rand(1, 2, 4, 5)
    >>> torch.allclose(Pooling((7, 3))(picture), nn.AdaptiveAvgPool2d((7, 3))(picture))
    True
    """

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, found: Any) -> Any:
        rows, columns = (self._shares(int(side), parts) for side, parts in zip(found.shape[2:], self.size, strict=True))
        return found.new_tensor(rows) @ found @ found.new_tensor(columns).T

    @staticmethod
    def _shares(side: int, parts: int) -> list[list[float]]:
        """The share of each of `side` places in the average of each part. Parts may overlap."""
        spans = [(part * side // parts, -(-(part + 1) * side // parts)) for part in range(parts)]
        return [[1 / (end - start) if start <= place < end else 0.0 for place in range(side)] for start, end in spans]


@contextmanager
def exportable(model: LibraryModel) -> Iterator[None]:
    """Within it, a network has no operations that can't be written as ONNX."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size not in (1, (1, 1)):
            size = layer.output_size
            model.set_submodule(name, Pooling((size, size) if isinstance(size, int) else size))
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def rebuilt(described: Any, names: Any, args: Any, tensors: Any) -> LibraryModel:
    """Make a network again of what a checkpoint holds. Checkpoints name this function by its module: it stays here.

    Raises CytoyoloError, whose sentence begins after the name of the file.
    """
    try:
        _check_described(described, names)
        with torch.random.fork_rng(devices=[]):  # the numbers of a training's own chance stay as they are
            model = LibraryModel(described)
        model.network.load_state_dict(tensors, assign=True)
    except CytoyoloError:
        raise
    except Exception as error:  # whatever a library says of a description or of numbers that are not its own
        what = str(error).strip().splitlines() or [type(error).__name__]
        raise CytoyoloError(
            f"holds a network that can't be made again ({what[0][:200]}); train anew, or install the versions of the "
            "libraries that made it"
        ) from error
    model.names, model.args = names, args
    return model


torch.serialization.add_safe_globals([rebuilt])


def library_of(described: Mapping[str, Any]) -> LibraryNetwork:
    """The network that a description names. Raises KeyError if it names none."""
    return LibraryNetwork(str(described["library"]), str(described["network"]))


def library_start(start: object) -> LibraryNetwork | None:
    """The network of a library that a training starts from, given its name, or the description of a network in a
    checkpoint. None for the engine's own networks."""
    if isinstance(start, Mapping):
        return library_of(start) if "library" in start else None
    return parse_library_network(start)


def _check_described(described: Mapping[str, Any], names_of: Mapping[int, str]) -> None:
    """Refuse what no training of this tool writes into a checkpoint, before a network is made of it."""
    network = library_of(described)
    if network.library == TIMM:
        try:
            check_installed(network)
        except CytoyoloError as error:
            raise CytoyoloError(f"is a classifier of timm: {error.sentence.removesuffix('.')}") from error
    if network.name not in names(network.library):
        raise ValueError(f"there is no {network}")
    if described["nc"] != len(names_of) or not 0 < described["side"] <= MAX_LIBRARY_SIDE:
        raise ValueError("its numbers contradict each other")


def build(network: LibraryNetwork, classes: int, side: int) -> Any:
    """Make a library's network with random weights, for crops of one side in pixels. Nothing is downloaded."""
    if network.library == TIMM:
        import timm

        fixed = timm.get_pretrained_cfg(network.name).fixed_input_size
        return timm.create_model(network.name, num_classes=classes, **({"img_size": side} if fixed else {}))
    from torchvision import models  # type: ignore[import-untyped]

    options: dict[str, Any] = {}
    if network.name in ("googlenet", "inception_v3"):
        options = _WITHOUT_SECOND_ANSWER
    elif network.name.startswith("vit_"):
        options = {"image_size": side}
    elif network.name.startswith("maxvit_"):
        options = {"input_size": (side, side)}
    return models.get_model(network.name, weights=None, num_classes=classes, **options)


def describe(network: LibraryNetwork, classes: int, side: int, made: Any) -> dict[str, Any]:
    """Describe a network that a library made, with the mean and the deviation of each channel that its own weights
    expect."""
    if network.library == TIMM:
        expects = made.pretrained_cfg
        mean, std = expects["mean"], expects["std"]
    else:
        from torchvision import models

        expects = models.get_model_weights(network.name).DEFAULT.transforms()
        mean, std = expects.mean, expects.std
    return {
        "library": network.library, "network": network.name, "nc": classes, "side": side,
        "mean": [float(value) for value in mean], "std": [float(value) for value in std],
    }  # fmt: skip


def last_tensors(network: LibraryNetwork, made: Any, classes: int, side: int) -> set[str]:
    """The names of the tensors of a network that depend on the number of classes: its last layer."""
    with torch.random.fork_rng(devices=[]):
        others = build(network, classes + 1, side).state_dict()
    return {name for name, tensor in made.state_dict().items() if tensor.shape != others[name].shape}

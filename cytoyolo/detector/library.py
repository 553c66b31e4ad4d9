"""Networks of other libraries by name, such as torchvision:resnet18, from which a classifier can be trained."""

import difflib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cytoyolo.errors import CytoyoloError, UsageError

TORCHVISION: Final = "torchvision"
TIMM: Final = "timm"
LIBRARIES = (TORCHVISION, TIMM)


@dataclass(frozen=True)
class LibraryNetwork:
    """A network that a library makes.

    Parameters
    ----------
    library : str
        "torchvision" or "timm".
    name : str
        The library's name of the network, in timm with or without a tag.
    """

    library: str
    name: str

    def __str__(self) -> str:
        return f"{self.library}:{self.name}"


def parse_library_network(model: object) -> LibraryNetwork | None:
    """Return the network that LIBRARY:NAME means, None for anything else.

    Whether there is such a network, `check_known` tells.

    Examples
    --------
    >>> parse_library_network("torchvision:resnet18")
    LibraryNetwork(library='torchvision', name='resnet18')
    >>> parse_library_network("resnet18.pt") is None
    True
    """
    library, colon, name = str(model).partition(":")
    return LibraryNetwork(library, name) if colon and library in LIBRARIES else None


def check_known(network: LibraryNetwork) -> None:
    """Raise UsageError if there is no such network, or if a file of its name could be meant too, and CytoyoloError if
    the library is not installed."""
    check_installed(network)
    if Path(str(network)).exists():
        raise UsageError(
            f"'{network}' is the name of a network, and a file of this name exists in this folder too; give "
            f"./{network} for the file, or call from another folder for the network."
        )
    known = names(network.library)
    if network.name not in known:
        near = difflib.get_close_matches(network.name, known, 5)
        hint = f" (near: {', '.join(near)})" if near else ""
        raise UsageError(
            "model", str(network), f"{network.library} has no classifier of this name{hint}; give the name of another"
        )


def check_installed(network: LibraryNetwork) -> None:
    """Raise CytoyoloError if the library of a network is not installed."""
    if find_spec(network.library) is None:
        raise CytoyoloError(f"{network} needs {network.library}, which is not installed; pip install 'cytoyolo[timm]'.")


@cache
def names(library: str) -> frozenset[str]:
    """The names of all classifiers of a library that is installed."""
    if library == TIMM:
        import timm

        return frozenset(timm.list_models()) | frozenset(timm.list_models(include_tags=True))
    from torchvision import models  # type: ignore[import-untyped]

    return frozenset(models.list_models(module=models))

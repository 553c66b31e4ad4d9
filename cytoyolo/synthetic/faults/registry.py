"""The kinds of faults. Each is a small function that is registered under the name of the rule that finds it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cytoyolo.synthetic.faults.faulty_image import Fault, Host, Setting

Injector = Callable[[Host, str, np.random.Generator, Setting], Fault | None]


@dataclass(frozen=True)
class Kind:
    """The faults of one rule. `make` puts a variant into an image, or returns None if the image does not fit."""

    rule: str
    make: Injector
    variants: tuple[str, ...]
    limit: int | None
    needs: str


REGISTERED: dict[str, Kind] = {}
# The modules of kinds, in the order in which the kinds get their images.
_SUBJECTS = ("rows", "border", "overlaps", "names", "files", "frames", "copies")


def fault(
    rule: str, *variants: str, limit: int | None = None, needs: Literal["", "test", "case"] = ""
) -> Callable[[Injector], Injector]:
    """Register a kind of fault. At most `limit` faults of it are put into a set."""

    def register(make: Injector) -> Injector:
        if rule in REGISTERED:
            raise ValueError(f"two kinds of faults are called '{rule}'")
        REGISTERED[rule] = Kind(rule, make, variants or ("",), limit, needs)
        return make

    return register


def kinds(test: bool, case: bool = True) -> list[Kind]:
    """List the kinds of faults that are possible: with a test table, and if the file system distinguishes case."""
    there = {"": True, "test": test, "case": case}
    ordered = sorted(REGISTERED.values(), key=lambda kind: _SUBJECTS.index(kind.make.__module__.rpartition(".")[2]))
    return [kind for kind in ordered if there[kind.needs]]

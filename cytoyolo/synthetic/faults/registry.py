"""The kinds of faults: each a small function, registered once under the name of the rule that finds it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cytoyolo.synthetic.faults.faulty_image import Host, Made, Setting

Injector = Callable[[Host, str, np.random.Generator, Setting], Made | None]


@dataclass(frozen=True)
class Kind:
    """Faults of one rule: `make` puts a variant of them into an image, or returns None where that image won't do."""

    rule: str
    make: Injector
    variants: tuple[str, ...]
    limit: int | None
    needs: str


REGISTERED: dict[str, Kind] = {}
# The modules of kinds, in the order in which these get their images; within a module they do as they stand there.
_SUBJECTS = ("rows", "border", "overlaps", "names", "files", "frames", "copies")


def fault(
    rule: str, *variants: str, limit: int | None = None, needs: Literal["", "test", "case"] = ""
) -> Callable[[Injector], Injector]:
    """Register an injector, at most `limit` faults of which go into a set."""

    def register(make: Injector) -> Injector:
        if rule in REGISTERED:
            raise ValueError(f"two kinds of faults are called '{rule}'")
        REGISTERED[rule] = Kind(rule, make, variants or ("",), limit, needs)
        return make

    return register


def kinds(test: bool, case: bool = True) -> list[Kind]:
    """The kinds of faults: with a test table or without, on a file system that tells case apart or not."""
    there = {"": True, "test": test, "case": case}
    ordered = sorted(REGISTERED.values(), key=lambda kind: _SUBJECTS.index(kind.make.__module__.rpartition(".")[2]))
    return [kind for kind in ordered if there[kind.needs]]

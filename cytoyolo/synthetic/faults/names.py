"""Faults of image names: no such file, written otherwise, not in the table, one for two files."""

from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np

from cytoyolo.synthetic.faults.faulty_image import Host, Made, Setting
from cytoyolo.synthetic.faults.registry import fault


@fault("missing-image")
def missing_image(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Made:
    return Made("no file", host.lines(listed="all"), gone=(host.name,))


@fault("unlabelled-image")
def unlabelled_image(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Made:
    return Made(f"{len(host.rows)} rows gone", {row: [] for row in host.rows}, name=host.name)


@fault("name-variant", "case of the extension", "case of the stem", "other extension")
def name_variant(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Made | None:
    """The rows name the file in other case, or with another extension."""
    stem, extension = PurePosixPath(host.name).stem, PurePosixPath(host.name).suffix
    write: dict[str, Callable[[], str]] = {
        "case of the extension": lambda: stem + extension.swapcase(),
        "case of the stem": lambda: stem.swapcase() + extension,
        "other extension": lambda: f"{stem}.png",
    }
    name = write[variant]()
    if name == host.name:
        return None
    return Made(f"the file is {host.name}", host.lines(name, listed="all", truths=host.texts()))


@fault("case-collision", needs="case")
def case_collision(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Made | None:
    """Of two images, the one that comes later in the table gets the other's name in other case."""
    stem, extension = PurePosixPath(host.name).stem, PurePosixPath(host.name).suffix
    if stem.swapcase() == stem:
        return None
    other = setting.another(host)
    if other is None or other.path.suffix != extension:
        return None
    first, second = sorted((host, other), key=lambda one: one.rows[0])
    name = PurePosixPath(first.name).stem.swapcase() + extension
    if name == first.name:
        return None
    rows = first.lines() | second.lines(name, listed="first")
    return Made(f"like {first.name}, was {second.name}", rows, {name: second.read()}, (second.name,))

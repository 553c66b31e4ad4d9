"""Faults of image names: no such file, another spelling, not in the table, two names that differ only in case."""

from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np

from cytoyolo.synthetic.faults.faulty_image import Fault, Host, Setting
from cytoyolo.synthetic.faults.registry import fault


@fault("missing-image")
def missing_image(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    return Fault("no file", host.lines(listed="all"), gone=(host.name,))


@fault("unlabelled-image")
def unlabelled_image(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault:
    return Fault(f"{len(host.rows)} rows gone", {row: [] for row in host.rows}, name=host.name)


@fault("name-variant", "case of the extension", "case of the stem", "other extension")
def name_variant(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    """The rows name the file in another case, or with another extension."""
    stem, extension = PurePosixPath(host.name).stem, PurePosixPath(host.name).suffix
    write: dict[str, Callable[[], str]] = {
        "case of the extension": lambda: stem + extension.swapcase(),
        "case of the stem": lambda: stem.swapcase() + extension,
        "other extension": lambda: f"{stem}.png",
    }
    name = write[variant]()
    if name == host.name:
        return None
    return Fault(f"the file is {host.name}", host.lines(name, listed="all", truths=host.texts()))


@fault("case-collision", needs="case")
def case_collision(host: Host, variant: str, rng: np.random.Generator, setting: Setting) -> Fault | None:
    """Two images: the second in the table gets the name of the first in another case."""
    stem, extension = PurePosixPath(host.name).stem, PurePosixPath(host.name).suffix
    if stem.swapcase() == stem:
        return None
    other = setting.another(host)
    if other is None or other.path.suffix != extension:
        return None
    first, second = sorted((host, other), key=lambda image: image.rows[0])
    name = PurePosixPath(first.name).stem.swapcase() + extension
    if name == first.name:
        return None
    rows = first.lines() | second.lines(name, listed="first")
    return Fault(f"like {first.name}, was {second.name}", rows, {name: second.read()}, (second.name,))

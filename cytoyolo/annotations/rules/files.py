"""Rules of image files: whether they can be read, what the staged copy must mend, and how they look."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cytoyolo.annotations.rules.registry import (
    DROP,
    ERROR,
    INFO,
    KEEP,
    REVIEW,
    WARNING,
    Findings,
    Threshold,
    by_image,
    rule,
)
from cytoyolo.annotations.rules.statistics import robust_z
from cytoyolo.annotations.table import LabelTable
from cytoyolo.errors import option
from cytoyolo.images.info import JUNK, OPEN, ROTATED, TAIL, ImageInfo

# Images that aren't read here are sound, so their rows should not be deleted without need.
_LEAVE_OUT = (
    f"do as said, or leave these images out by `cytoyolo repair` with a {option('config')} of "
    "`unsupported: {action: drop}`"
)


def labelled(table: LabelTable) -> dict[str, ImageInfo]:
    """Return the properties of the images that have rows and can be read, by name."""
    return {
        name: table.facts[name] for name in table.first_rows if name in table.facts and not table.facts[name].problem
    }


def _repaired(table: LabelTable, wanted: Callable[[str], bool]) -> dict[str, str]:
    """Return the images that have a wanted repair: by name, their wanted repairs as one text."""
    found = {name: [repair for repair in facts.repairs if wanted(repair)] for name, facts in labelled(table).items()}
    return {name: "; ".join(repairs) for name, repairs in found.items() if repairs}


def _problems(table: LabelTable, unsupported: bool) -> Iterator[Findings]:
    """Yield findings about images in the folder that are damaged, or (`unsupported`) sound but not read here."""
    listing = table.listing or frozenset()  # the rule missing-image reports the others
    facts = {name: table.facts[name] for name in table.first_rows if name in listing}
    bad = {name: one.problem for name, one in facts.items() if one.problem and one.unsupported == unsupported}
    yield from by_image(table, {name: (name, problem) for name, problem in bad.items()})


@rule(
    "unreadable", ERROR, DROP, after="unlabelled-image", about="image", needs="images", training="refuses", sheet="none"
)
def unreadable(table: LabelTable) -> Iterator[Findings]:
    """The file is empty, truncated, damaged, not an image, or too small to be an image of a smear."""
    yield from _problems(table, unsupported=False)


@rule(
    "unsupported",
    ERROR,
    REVIEW,
    after="unreadable",
    about="image",
    needs="images",
    training="refuses",
    sheet="none",
    remedy=_LEAVE_OUT,
)
def unsupported(table: LabelTable) -> Iterator[Findings]:
    """No fault of the file is known, but it can't be used as it is. It is another kind of file, has a form that isn't
    read here, has too many pixels, or the operating system can't read it. Its labels stay."""
    yield from _problems(table, unsupported=True)


@rule("no-end-marker", ERROR, "append", after="unsupported", about="image", needs="images", sheet="none")
def no_end_marker(table: LabelTable) -> Iterator[Findings]:
    """The picture of a JPEG is complete, but its end marker is missing. The staged copy gets the marker."""
    found = _repaired(table, lambda repair: repair == OPEN)
    yield from by_image(table, dict.fromkeys(found, (OPEN, "the picture is complete")))


@rule("extraneous-bytes", WARNING, "splice", after="no-end-marker", about="image", needs="images", sheet="none")
def extraneous_bytes(table: LabelTable) -> Iterator[Findings]:
    """A JPEG has bytes before a marker or after its end that do not belong to the picture. The staged copy does not
    have them."""
    found = _repaired(table, lambda repair: repair in (JUNK, TAIL))
    yield from by_image(table, {name: (value, "no pixel changes") for name, value in found.items()})


@rule("decoder-warning", WARNING, REVIEW, after="extraneous-bytes", about="image", needs="images")
def decoder_warning(table: LabelTable) -> Iterator[Findings]:
    """The decoder gives a warning: the compressed data are damaged, although it returns a picture."""
    found = {name: facts.warning for name, facts in labelled(table).items() if facts.warning}
    yield from by_image(table, {name: (warning, "look at the picture") for name, warning in found.items()})


@rule("exif-orientation", ERROR, "bake", after="decoder-warning", about="image", needs="images")
def exif_orientation(table: LabelTable) -> Iterator[Findings]:
    """The file says that it must be shown turned or mirrored (EXIF tag 274). The staged copy is stored upright.

    Boxes are taken to lie in the upright picture, unless they fit only the picture as it is stored (see
    boxes-unturned).
    """
    facts = labelled(table)
    found = {name: f"orientation {facts[name].orientation}" for name in _repaired(table, lambda one: one == ROTATED)}
    yield from by_image(table, {name: (value, "stored upright in the staged copy") for name, value in found.items()})


@rule("colour-mode", WARNING, "convert", after="exif-orientation", about="image", needs="images")
def colour_mode(table: LabelTable) -> Iterator[Findings]:
    """The picture is CMYK, has an alpha channel or a palette, is 16-bit gray, or has a similar mode. The staged copy is
    in 8-bit colour."""
    found = _repaired(table, lambda repair: repair.startswith("mode "))
    yield from by_image(table, {name: (value, "8-bit colour in the staged copy") for name, value in found.items()})


@rule("tiff", WARNING, "convert", after="several-pictures", about="image", needs="images", sheet="none")
def tiff(table: LabelTable) -> Iterator[Findings]:
    """The file is a TIFF. Decoders read TIFF files in different ways, so the staged copy is a PNG."""
    found = _repaired(table, lambda repair: repair == "TIFF")
    yield from by_image(table, {name: (value, "PNG in the staged copy") for name, value in found.items()})


@rule("wrong-extension", WARNING, "convert", after="tiff", about="image", needs="images", sheet="none")
def wrong_extension(table: LabelTable) -> Iterator[Findings]:
    """The file is of another kind than its extension says. The staged copy has the right extension."""
    found = _repaired(table, lambda repair: " named " in repair)
    yield from by_image(table, {name: (value, "renamed in the staged copy") for name, value in found.items()})


@dataclass(frozen=True)
class _Measure:
    """A measure of an image, in words and as a number. The number is a logarithm if sizes differ by factors."""

    words: Callable[[ImageInfo], str]
    number: Callable[[ImageInfo], float]


def _odd(
    table: LabelTable, measure: _Measure, z: float, eligible: Callable[[ImageInfo], bool] = lambda one: True
) -> Iterator[Findings]:
    facts: Mapping[str, ImageInfo] = labelled(table)
    names = list(facts)
    score: NDArray[np.float64] = robust_z(np.array([measure.number(facts[name]) for name in names]))
    far = {names[index]: score[index] for index in np.flatnonzero(np.abs(score) > z) if eligible(facts[names[index]])}
    yield from by_image(
        table,
        {name: (measure.words(facts[name]), f"robust z {score:.1f} within the set") for name, score in far.items()},
    )


@rule(
    "odd-size-image",
    INFO,
    KEEP,
    after="wrong-extension",
    about="image",
    needs="images",
    z=5,
    share=Threshold(0.01, most=1),
)
def odd_size_image(table: LabelTable, z: float, share: float) -> Iterator[Findings]:
    """The image's size is unusual: the logarithm of its area has a robust z of more than `z` (up or down) among all
    images. At most the share `share` of the images have this size, so that the sizes of several cameras are not
    reported."""
    sizes = Counter((one.width, one.height) for one in labelled(table).values())
    frequent = {size for size, count in sizes.items() if count > max(share * sizes.total(), 1)}
    measure = _Measure(lambda one: f"{one.width}x{one.height} px", lambda one: float(np.log(one.width * one.height)))
    yield from _odd(table, measure, z, lambda one: (one.width, one.height) not in frequent)


@rule("dark-or-bright", INFO, KEEP, after="odd-size-image", about="image", needs="images", z=5)
def dark_or_bright(table: LabelTable, z: float) -> Iterator[Findings]:
    """The image's mean brightness (0 to 255) has a robust z of more than `z` (up or down) among all images."""
    yield from _odd(table, _Measure(lambda one: f"{one.brightness:.0f} of 255", lambda one: one.brightness), z)


@rule("odd-blur", INFO, KEEP, after="dark-or-bright", about="image", needs="images", z=5)
def odd_blur(table: LabelTable, z: float) -> Iterator[Findings]:
    """The image's sharpness (the logarithm of the variance of the Laplacian) has a robust z of more than `z` (up or
    down) among all images."""
    yield from _odd(table, _Measure(lambda one: f"{one.blur:.1f}", lambda one: float(np.log1p(one.blur))), z)


@rule("odd-entropy", INFO, KEEP, after="odd-blur", about="image", needs="images", z=5)
def odd_entropy(table: LabelTable, z: float) -> Iterator[Findings]:
    """The entropy of the image's gray levels (in bits) has a robust z of more than `z` (up or down) among all
    images."""
    yield from _odd(table, _Measure(lambda one: f"{one.entropy:.1f} bits", lambda one: one.entropy), z)

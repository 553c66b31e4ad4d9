"""Rules of images with more than 8 bits (which range is shown), and of files with several pictures."""

from collections.abc import Iterator

from cytoyolo.annotations.rules.files import labelled
from cytoyolo.annotations.rules.registry import INFO, REVIEW, WARNING, Findings, by_image, rule
from cytoyolo.annotations.table import LabelTable
from cytoyolo.images.samples import is_dark


@rule("bit-range", INFO, "convert", after="colour-mode", about="image", needs="images")
def bit_range(table: LabelTable) -> Iterator[Findings]:
    """The picture has more than 8 bits. The finding says which range of its values is shown. This range is the same for
    all such images of the set, unless the file states its own range."""
    found = {}
    for name, facts in labelled(table).items():
        if facts.white:
            whose = "the range of the set" if facts.samples else "as the file says"
            value = f"values to {facts.peak:.10g}" if facts.samples else f"white is {facts.white:.10g}"
            found[name] = (value, f"shown from 0 to {facts.white:.10g}, {whose}; 8 bits in the staged copy")
    yield from by_image(table, found)


@rule("dark-range", WARNING, REVIEW, after="bit-range", about="image", needs="images")
def dark_range(table: LabelTable) -> Iterator[Findings]:
    """The picture has more than 8 bits and is shown dark: it uses less than a quarter of the range that another image
    of the set needs, or its mean is below 20 of 255. Images from cameras of 12 and of 16 bits are mixed, or a value is
    wrong."""
    facts = labelled(table)
    largest = {one.samples: name for name, one in sorted(facts.items(), key=lambda item: item[1].peak)}
    found = {}
    for name, one in facts.items():
        if one.samples and is_dark(one.peak, one.white, one.brightness):
            reason = f"shown dark from 0 to {one.white:.10g}, as {largest[one.samples]} needs"
            found[name] = (f"values to {one.peak:.10g}", reason)
    yield from by_image(table, found)


@rule("several-pictures", WARNING, REVIEW, after="dark-range", about="image", needs="images")
def several_pictures(table: LabelTable) -> Iterator[Findings]:
    """The file holds several pages, planes, sizes, channels or frames. The finding says which part is taken as the
    picture."""
    found = {name: facts.taken for name, facts in labelled(table).items() if facts.taken}
    remedy = "look whether that is the picture you labelled"
    yield from by_image(table, {name: (taken, remedy) for name, taken in found.items()})

"""Faults put into a sound label table and its images, each listed with its truth, to measure an audit by."""

# Imported for the kinds that they register, in the order in which these get their images.
from cytoyolo.synthetic.faults import rows, border, overlaps, names, files, frames, copies  # noqa: I001
from cytoyolo.synthetic.faults.inject import MAX_RATE, check_rate, inject
from cytoyolo.synthetic.faults.registry import kinds

__all__ = [
    "MAX_RATE",
    "border",
    "check_rate",
    "copies",
    "files",
    "frames",
    "inject",
    "kinds",
    "names",
    "overlaps",
    "rows",
]

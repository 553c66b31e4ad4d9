"""Faults put into a sound label table and its images, each listed with its truth, to measure an audit by."""

# Imported for the kinds that they register, in the order in which these get their images.
from cytoyolo.dataset.faults import rows, edges, overlaps, names, files, frames, copies  # noqa: I001
from cytoyolo.dataset.faults.inject import MAX_RATE, check_rate, inject
from cytoyolo.dataset.faults.registry import kinds

__all__ = [
    "MAX_RATE",
    "check_rate",
    "copies",
    "edges",
    "files",
    "frames",
    "inject",
    "kinds",
    "names",
    "overlaps",
    "rows",
]

"""Put faults into a good label table and its images, and list each fault with its truth, to measure an audit."""

from cytoyolo.synthetic.faults import border, copies, files, frames, names, overlaps, rows
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

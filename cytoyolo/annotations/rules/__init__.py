"""The rules of the audit, in the order in which they are asked."""

from cytoyolo.annotations.rules import copies, counts, files, frames, geometry, names, overlaps, rows
from cytoyolo.annotations.rules.registry import REGISTERED, Rule

__all__ = ["RULES", "Rule", "copies", "counts", "files", "frames", "geometry", "names", "overlaps", "rows"]

# Each rule sees the table as the actions of those before it leave it: corners are put in order before a box is clipped,
# and clipped before it is compared with others. So what one audit finds is all there is to repair.
_ORDER = (
    "schema",
    "broken-row",
    "blank",
    "path",
    "number",
    "normalised",
    "xywh",
    "class-variant",
    "unknown-class",
    "name-variant",
    "missing-image",
    "stem-collision",
    "case-collision",
    "unlabelled-image",
    "unreadable",
    "no-end-marker",
    "extraneous-bytes",
    "decoder-warning",
    "exif-orientation",
    "colour-mode",
    "tiff",
    "wrong-extension",
    "odd-size-image",
    "dark-or-bright",
    "odd-blur",
    "odd-entropy",
    "boxes-unturned",
    "transposed-table",
    "transposed",
    "inverted",
    "at-edge",
    "outside",
    "overhang",
    "mostly-outside",
    "zero-side",
    "tiny-side",
    "fractional",
    "repeated-row",
    "near-same",
    "two-classes",
    "overlap",
    "whole-image",
    "odd-box",
    "many-boxes",
    "same-bytes",
    "same-pixels",
    "near-duplicate",
    "duplicate-labels",
    "leak",
    "rare-class",
    "imbalance",
)

RULES: dict[str, Rule] = {name: REGISTERED[name] for name in _ORDER}

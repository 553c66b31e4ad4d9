"""The rules of the audit, in the order in which they are asked, and the functions for a user's own rules.

Each rule sees the table after the actions of all earlier rules: corners are put in order before a box is clipped, and
boxes are clipped before they are compared with others. So one audit finds everything that can be repaired. Each rule is
registered with the rule before it (`after`), so the order does not depend on the order of imports.
"""

from cytoyolo.annotations.rules import (
    depth,
    distribution,
    duplicates,
    files,
    forms,
    geometry,
    ignore_regions,
    names,
    orientation,
    overlaps,
    rows,
)
from cytoyolo.annotations.rules.registry import (
    REGISTERED,
    Findings,
    Rule,
    Threshold,
    by_image,
    by_row,
    by_table,
    in_order,
    rule,
)

__all__ = [
    "RULES",
    "Findings",
    "Rule",
    "Threshold",
    "by_image",
    "by_row",
    "by_table",
    "depth",
    "distribution",
    "duplicates",
    "files",
    "forms",
    "geometry",
    "ignore_regions",
    "names",
    "orientation",
    "overlaps",
    "rows",
    "rule",
]

# A user's own modules may have been imported before this module, so rules of other modules are left out here.
RULES: dict[str, Rule] = in_order([rule for rule in REGISTERED if rule.module.startswith(f"{__name__}.")])

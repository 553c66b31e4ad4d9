"""The rules of the audit, in the order in which they are asked, and what a rule of one's own is made with.

Each rule sees the table as the actions of those before it leave it: corners are put in order before a box is clipped,
and clipped before it is compared with others. So what one audit finds is all there is to repair. The order is said
where rules are registered (`after`), and does not depend on the order of imports.
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

# Modules of users' own may have been imported before this one.
RULES: dict[str, Rule] = in_order([rule for rule in REGISTERED if rule.module.startswith(f"{__name__}.")])

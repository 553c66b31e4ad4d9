"""The floors of the house: what docs/architecture.md says about which room may use which."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "cytoyolo"
# From the ground up. A room uses rooms before it.
ROOMS = (
    *("recipes", "defaults", "errors", "text", "boxes", "console", "ownership", "machine", "locks", "files", "workers"),
    "runners",
    *("tiles", "signatures", "shipped", "documents", "spec", "tables", "images", "annotations", "yolo", "detector"),
    *("scoring", "curation", "report", "reviewing", "synthetic", "commands", "cli", "__main__", "__init__"),
)
MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


def imported(module: str, everywhere: bool) -> set[str]:
    """The names that a module imports: at its top, and `everywhere` in its functions too."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree) if everywhere else tree.body)
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return names | {f"{node.module}.{alias.name}" for node in froms for alias in node.names}


def used(module: str, everywhere: bool = True) -> set[str]:
    """The modules of this package that a module imports."""
    parts = [name.split(".")[1:] for name in imported(module, everywhere) if name.startswith("cytoyolo.")]
    return {".".join(part[:end]) for part in parts for end in (1, 2, 3) if ".".join(part[:end]) in MODULES}


def floor(module: str) -> int:
    return ROOMS.index(module.split(".")[0])


def test_a_room_uses_only_rooms_before_it() -> None:
    assert not [(module, other) for module in MODULES for other in used(module) if floor(other) > floor(module)]


def test_no_modules_import_each_other() -> None:
    graph = {module: used(module, everywhere=False) - {module} for module in MODULES}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError for a circle


def test_only_the_detector_imports_ultralytics() -> None:
    users = {module for module in MODULES for name in imported(module, True) if name.startswith("ultralytics")}
    assert {module.split(".")[0] for module in users} == {"detector"}

"""Make the pages of the site that describe the program from the program itself, into docs/reference.

`python docs/generate.py` writes them; `make docs` does so before it makes the site.
"""

import inspect
import re
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import yaml

import cytoyolo
from cytoyolo.annotations.rules import RULES
from cytoyolo.annotations.rules.registry import Rule
from cytoyolo.spec import load_spec

ROOT = Path(__file__).parents[1]
SEVERITIES = {"error": "Errors", "warning": "Warnings", "info": "Information"}
SOURCES = {"source": "Source", "licence": "Licence"}
# The commands in the order of the program's help, by what they are for.
GROUPS = {
    "Labels": ("import", "join", "audit", "repair", "undo", "apply", "curate", "review", "export-labels", "select"),
    "Data set and training": ("convert", "train", "train-classifier", "crossval", "ensemble", "calibrate", "adapt"),
    "Prediction": ("predict", "differential", "fuse", "export", "card", "bench"),
    "Figures": ("evaluate", "compare", "score", "check"),
    "Challenge": ("submit", "reproduce"),
    "Help": ("demo", "smear", "jobs", "info"),
}


def write_pages(folder: Path) -> None:
    """Write all pages into the folder. A page that is right already is not touched, so that Sphinx need not read it."""
    pages = dict(all_pages())
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.rglob("*.md"):
        if str(path.relative_to(folder)) not in pages:
            path.unlink()


def all_pages() -> Iterator[tuple[str, str]]:
    """Each page: its path in the folder, and its text."""
    commands = {command.name: command for command in command_line()}
    yield "commands.md", command_list(commands)
    for command in commands.values():
        yield f"commands/{command.name}.md", command_page(command)
    yield "rules.md", rules_page()
    yield "python.md", python_page()
    yield "data-sets.md", data_sets_page()
    yield "recipes.md", recipes_page()


def command_line() -> list[Any]:
    """The commands of the program, as its command line knows them."""
    import typer

    from cytoyolo.cli.app import app

    commands = list(typer.main.get_command(app).commands.values())  # type: ignore[attr-defined]
    listed = [name for names in GROUPS.values() for name in names]
    if sorted(listed) != sorted(command.name for command in commands):
        raise SystemExit("docs/generate.py: GROUPS does not have every command of the program once.")
    return commands


def command_list(commands: dict[str, Any]) -> str:
    parts = ["# Every command\n", "These pages are made from the program's own help.\n"]
    for title, names in GROUPS.items():
        parts += [f"## {title}\n", "| command | what it does |", "| --- | --- |"]
        parts += [f"| [{name}](commands/{name}.md) | {first_sentence(commands[name].help)} |" for name in names]
        parts += [""]
    parts += ["```{toctree}\n:hidden:\n", *(f"commands/{name}" for name in commands), "```\n"]
    return "\n".join(parts)


def first_sentence(text: str) -> str:
    return escaped(" ".join(text.split("\n\n")[0].split()))


def escaped(text: str) -> str:
    """Plain text as Markdown that shows it, with nothing that is a mark, a tag or a cell's end; `code` stays code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part.replace("|", "\\|") if code else plain(part) for part, code in zip(parts, cycle((0, 1))))


def plain(text: str) -> str:
    for mark in "\\`*_[]<>|{}$#~":
        text = text.replace(mark, f"\\{mark}")
    return text


def command_page(command: Any) -> str:
    """One command: its help, its arguments and its options."""
    context = command.make_context(command.name, [], resilient_parsing=True)
    usage = " ".join(["cytoyolo", command.name, *command.collect_usage_pieces(context)])
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    parts = [f"# {command.name}\n", f"```text\n{usage}\n```\n", escaped(inspect.cleandoc(command.help)) + "\n"]
    if arguments:
        parts += ["## Arguments\n", *(parameter(one, context) for one in arguments)]
    parts += ["## Options\n", *(parameter(one, context) for one in options)]
    if command.epilog:
        parts += [escaped(inspect.cleandoc(command.epilog)) + "\n"]
    return "\n".join(parts)


def parameter(one: Any, context: Any) -> str:
    """An argument or an option as the help shows it, as an entry of a list of definitions."""
    name, told = one.get_help_record(context)
    told = escaped(" ".join(told.split()))
    told = re.sub(r"\\\[required\\\]$", "*Required.*", told)
    told = re.sub(r"\\\[default: \(?(.*?)\)?\\\]$", r"*Default: \1.*", told)
    return f"`{name}`\n: {told}\n"


def rules_page() -> str:
    parts = [
        "# Every rule of the audit\n",
        "This page is made from the rules themselves. `cytoyolo audit --rules` lists them too. "
        "[The audit](../audit.md) says how they work together, and what each action does. "
        "How many faults each rule finds is [measured](../measurements/audit.md).\n",
    ]
    for severity, title in SEVERITIES.items():
        parts += [f"## {title}\n"]
        parts += [rule_entry(rule) for rule in RULES.values() if rule.severity == severity]
    return "\n".join(parts)


def rule_entry(rule: Rule) -> str:
    limits = ", ".join(f"`{name}: {limit}`" for name, limit in rule.thresholds.items())
    told = [escaped(" ".join(rule.text.split())), f"Action: *{rule.action}*."]
    told += [f"Thresholds: {limits}."] if limits else []
    return f"### {rule.name}\n\n" + "\n".join(told) + "\n"


def python_page() -> str:
    """The public names, by kind, with their docstrings."""
    public = {name: getattr(cytoyolo, name) for name in cytoyolo.__all__}
    functions = [name for name, thing in public.items() if inspect.isfunction(thing)]
    classes = [name for name in public if name not in functions]
    parts = [
        "# Every function and class\n",
        "This page is made from the docstrings. Their examples run as tests. [In a Python program](../python.md) says "
        "how tables, errors and notes work.\n",
        "## Functions\n",
        *(directive("autofunction", name) for name in functions),
        "## Classes\n",
        *(directive("autoclass", name, ":members:") for name in classes),
    ]
    return "\n".join(parts)


def directive(kind: str, name: str, *options: str) -> str:
    lines = "".join(f"   {option}\n" for option in options)
    return f"### {name}\n\n```{{eval-rst}}\n.. {kind}:: cytoyolo.{name}\n{lines}```\n"


def data_sets_page() -> str:
    """The data sets of the package: what each is, and its classes."""
    parts = [
        "# Data sets of the package\n",
        "This page is made from the YAML files of the package. `--dataset NAME` takes one of them. "
        "[YAML files](../yaml.md) says how to write your own.\n",
    ]
    for path in sorted((ROOT / "datasets").glob("*.yaml")):
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        spec = load_spec(path.stem)
        parts += [f"## {spec.name}\n", escaped(raw["title"]) + ".\n"]
        parts += [f"- {title}: {escaped(str(raw[key]))}" for key, title in SOURCES.items() if key in raw]
        parts += ["", "| id | code | name | leukocyte | flag |", "| --- | --- | --- | --- | --- |"]
        rows = zip(spec.codes, spec.names, spec.leukocyte, spec.flags, strict=True)
        parts += [
            f"| {number} | {escaped(code)} | {escaped(name)} | {'yes' if counts else 'no'} | {flag} |"
            for number, (code, name, counts, flag) in enumerate(rows)
        ]
        parts += [""]
    return "\n".join(parts)


def recipes_page() -> str:
    """The recipes of the package, as their files are."""
    parts = [
        "# Recipes of the package\n",
        "This page is made from the YAML files of the package. `--recipe NAME` takes one of them. "
        "[YAML files](../yaml.md) says how to write your own.\n",
    ]
    for path in sorted((ROOT / "cytoyolo" / "recipes").glob("*.yaml")):
        parts += [f"## {path.stem}\n", f"```yaml\n{path.read_text(encoding='utf-8').strip()}\n```\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    write_pages(Path(__file__).parent / "reference")

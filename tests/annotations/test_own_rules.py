"""A user's own rules: of a module that a config names, or of an installed package, asked like ours."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pandas as pd
import pytest

from cytoyolo.annotations.policy import load_policy
from cytoyolo.annotations.rules import RULES
from cytoyolo.commands.audit import audit, rules
from cytoyolo.commands.convert import convert
from cytoyolo.commands.repair import repair
from cytoyolo.commands.undo import undo
from cytoyolo.errors import CytoyoloError
from tests.pictures import photo

Program = Callable[..., subprocess.CompletedProcess[str]]
DOCS = Path(__file__).parents[2] / "docs" / "audit.md"
HEADER = "NAME,x1,y1,x2,y2,class\n"
ROWS = "a.jpg,10,10,90,80,PNN\na.jpg,5,5,15,15,Thromb\nb.jpg,10,10,90,80,PNN\nb.jpg,10,10,90,80,PNN\n"
START = "from cytoyolo.annotations.rules import Findings, by_image, by_row, by_table, rule\n"
SMALL = '''
@rule("small", "warning", "review", area=400)
def small(table, area):
    """The box has fewer than `area` square pixels."""
    sides = table.xyxy[:, 2:] - table.xyxy[:, :2]
    yield from by_row(table, table.where(sides.prod(axis=1) < area), f"under {area:g} square pixels")
'''


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "labels.csv").write_text(HEADER + ROWS)
    (tmp_path / "images").mkdir()
    for seed, name in enumerate(("a.jpg", "b.jpg")):
        photo(100, 120, seed).save(tmp_path / "images" / name)
    return tmp_path


def config(folder: Path, code: str, settings: str = "") -> Path:
    (folder / "my_rules.py").write_text(START + code)
    (folder / "mine.yaml").write_text(f"modules: [my_rules.py]\n{settings}")
    return folder / "mine.yaml"


def found(lab: Path, code: str, settings: str = "") -> list[dict[str, object]]:
    findings = audit(lab / "labels.csv", config=config(lab, code, settings)).findings
    mine = findings[~findings["rule"].isin(list(RULES))]
    return mine[["line", "image", "rule", "severity", "action", "detail"]].to_dict("records")


def test_it_is_asked_and_reported_like_ours(lab: Path) -> None:
    made = audit(lab / "labels.csv", images=lab / "images", config=config(lab, SMALL), output=lab / "out")
    (finding,) = made.findings[made.findings["rule"] == "small"].to_dict("records")
    assert (finding["line"], finding["image"], finding["value"]) == (3, "a.jpg", "5,5,15,15")
    assert finding["detail"] == "under 400 square pixels" and finding["action"] == "review"
    assert made.counts[made.counts["rule"] == "small"][["severity", "findings", "images"]].to_numpy().tolist() == [
        ["warning", 1, 1]
    ]
    assert made.summary["settings"]["small"] == {"severity": "warning", "action": "review", "area": 400}
    (module,) = made.summary["modules"]
    assert module["name"] == "my_rules.py" and module["rules"] == ["small"] and len(module["sha256"]) == 64
    assert (
        "small" in set(pd.read_csv(lab / "out" / "findings.csv")["rule"]) and (lab / "out" / "findings.png").is_file()
    )
    assert json.loads((lab / "out" / "summary.json").read_text())["modules"] == [module]
    assert str(lab) not in (lab / "out" / "summary.json").read_text()
    assert sorted(path.name for path in lab.iterdir()) == ["images", "labels.csv", "mine.yaml", "my_rules.py", "out"]


def test_a_config_sets_it_like_any_other(lab: Path) -> None:
    (finding,) = found(lab, SMALL, "small: {area: 500, severity: error, action: stop}\n")
    assert (finding["severity"], finding["action"], finding["detail"]) == ("error", "stop", "under 500 square pixels")
    assert found(lab, SMALL, "small: {area: 50}\n") == []
    assert found(lab, SMALL, "small: {action: off}\n") == []
    with pytest.raises(CytoyoloError, match="'area' of 'small' is -1; give a number from 0"):
        found(lab, SMALL, "small: {area: -1}\n")


def test_the_command_line_lists_and_asks_it(lab: Path, cytoyolo: Program) -> None:
    listed = cytoyolo("audit", "--rules", "--config", config(lab, SMALL)).stdout
    assert listed.endswith("small  (warning; review; area 400)\n    The box has fewer than `area` square pixels.\n")
    done = cytoyolo("audit", lab / "labels.csv", "--config", lab / "mine.yaml", "--json")
    assert "small" in {finding["rule"] for finding in json.loads(done.stdout)["findings"]}


def test_it_is_read_anew_and_another_call_does_not_know_it(lab: Path) -> None:
    assert len(found(lab, SMALL)) == 1
    assert len(found(lab, SMALL.replace("area=400", "area=1"))) == 0
    assert "small" not in {rule["rule"] for rule in rules()}


def test_its_place_in_the_order(lab: Path) -> None:
    first = SMALL.replace("area=400", 'area=400, after="near-same"')
    second = first.replace('"small"', '"smaller"').replace("def small", "def smaller")
    last = SMALL.replace('"small"', '"last"').replace("def small", "def last")
    order = list(load_policy(config(lab, last + first + second)))
    at = order.index("near-same")
    assert order[at : at + 4] == ["near-same", "small", "smaller", "two-classes"] and order[-1] == "last"
    assert [name for name in order if name in RULES] == list(RULES)


def test_its_findings_drop_and_rewrite_and_are_undone(lab: Path) -> None:
    code = '''
@rule("platelet", "warning", "drop")
def platelet(table):
    """A platelet."""
    rows = table.where(table.text["class"] == "Thromb")
    yield from by_row(table, rows, "a platelet")
    yield from by_row(table, rows, "once more")

@rule("wide", "info", "clip")
def wide(table):
    """A box that is wide."""
    rows = table.where(table.xyxy[:, 2] == 90)
    yield Findings(rows, ["wide"] * len(rows), ["narrower"] * len(rows), after={"x2": ["70"] * len(rows)})
'''
    made = repair(lab / "labels.csv", output=lab / "clean.csv", config=config(lab, code))
    assert (lab / "clean.csv").read_text() == HEADER + "a.jpg,10,10,70,80,PNN\nb.jpg,10,10,70,80,PNN\n"
    assert made.changes["rule"].tolist() == ["repeated-row", "platelet", "wide", "wide"]


def test_an_ignore_region_that_it_recodes_is_a_label_of_its_image(lab: Path) -> None:
    (lab / "labels.csv").write_text(HEADER + "a.jpg,10,10,90,80,PNN\nb.jpg,10,10,90,80,msk\n")
    code = '''
@rule("cell", "warning", "recode")
def cell(table):
    """An ignore region that is a cell."""
    yield Findings([1], [""], [""], after={"class": ["LY"]})
'''
    made = convert(
        lab / "labels.csv", images=lab / "images", output=lab / "set", config=config(lab, code), repair=True, val=0.5
    )
    assert (made.images, made.boxes, made.painted) == (2, 2, 0)


@pytest.mark.parametrize("registered", ["review", "drop", "clip"])
@pytest.mark.parametrize("action", ["", "review", "drop"])
def test_its_action_is_that_of_the_config(registered: str, action: str, lab: Path) -> None:
    code = f'''
@rule("twice", "warning", "{registered}")
def twice(table):
    """A row that is named more than once."""
    for _ in range(2):
        yield Findings([0, 0], ["", ""], ["", ""], after={{"x2": ["70", "60"]}})
'''
    settings = f"twice: {{action: {action}}}\n" if action else ""
    made = repair(lab / "labels.csv", output=lab / "clean.csv", config=config(lab, code, settings))
    mine = made.changes[made.changes["rule"] == "twice"]
    after = {"review": [], "drop": [""], "clip": ["a.jpg,10,10,70,80,PNN"]}[action or registered]
    assert mine["after"].tolist() == after
    assert undo(lab / "clean.csv", lab / "changes.csv") == (lab / "labels.csv").read_bytes()


def test_findings_about_images_classes_and_the_table(lab: Path) -> None:
    code = '''
@rule("named-a", "info", "drop", about="image")
def named_a(table):
    """An image whose name begins with a."""
    yield from by_image(table, {name: ("a", "begins so") for name in table.first_rows if name.startswith("a")})

@rule("named-b", "info", "keep", about="image")
def named_b(table):
    """An image whose name begins with b, by its rows."""
    rows = [row for name, row in table.first_rows.items() if name.startswith("b")]
    yield Findings(rows, ["b"] * len(rows), ["begins so"] * len(rows))

@rule("few", "info", "keep", about="table", rows=10)
def few(table, rows):
    """The table has fewer rows than so many."""
    count = table.labels.sum()
    yield from by_table({f"{count} rows": "too few"} if count < rows else {})
'''
    assert [(one["line"], one["image"], one["rule"]) for one in found(lab, code)] == [
        (2, "a.jpg", "named-a"),
        (4, "b.jpg", "named-b"),
        (None, "", "few"),
    ]


def test_it_says_how_the_sheet_shows_it(lab: Path) -> None:
    def sheet(code: str) -> bytes | None:
        settings = config(lab, code, "repeated-row: {action: off}\nsmall: {area: 1000000}\n")
        audit(lab / "labels.csv", images=lab / "images", config=settings, output=lab / "out", overwrite=True)
        path = lab / "out" / "findings.png"
        return path.read_bytes() if path.exists() else None

    def shown_as(word: str) -> bytes | None:
        return sheet(SMALL.replace("area=400", f'sheet="{word}", area=400'))

    with_none = shown_as("none")
    assert len({sheet(SMALL), shown_as("image"), with_none}) == 3
    assert sheet(SMALL) == shown_as("box")


def test_a_training_refuses_without_it_and_the_data_set_knows_its_module(lab: Path) -> None:
    (lab / "labels.csv").write_text(HEADER + "a.jpg,10,10,90,80,PNN\na.jpg,5,5,15,15,Thromb\nb.jpg,10,10,90,80,PNN\n")
    code = SMALL.replace("area=400", 'training="refuses", area=400')
    inputs = {"images": lab / "images", "val": 0.5}
    with pytest.raises(CytoyoloError, match=r"can't be used: 1 finding \(line 3: small: 5,5,15,15, under 400"):
        convert(lab / "labels.csv", output=lab / "set", config=config(lab, code), **inputs)
    convert(lab / "labels.csv", output=lab / "set", config=config(lab, SMALL), **inputs)
    manifest = json.loads((lab / "set" / "dataset.json").read_text())
    assert [module["name"] for module in manifest["config"]["modules"]] == ["my_rules.py"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nothing_like_it", "the rules of my_rules.py can't be loaded (line 2: ModuleNotFoundError: No module"),
        ("def f(:", "the rules of my_rules.py can't be loaded (SyntaxError: invalid syntax (my_rules.py, line 2))"),
        ("raise SystemExit(3)", "can't be loaded (line 2: SystemExit: 3); correct the module."),
        ("", "my_rules.py has no rule; write one with `@rule`"),
        (SMALL + SMALL, "can't be loaded (line 9: ValueError: two rules are called 'small')"),
        (SMALL.replace('"warning"', '"bad"'), "ValueError: severity of rule 'small' is 'bad'; give one of 'error', "),
        (SMALL.replace('"small"', '"leak"'), "rule 'leak' of my_rules.py has the name of a rule of cytoyolo; give it"),
        (SMALL.replace('"small"', '"too small"'), "rule 'too small' of my_rules.py needs a name of letters, digits,"),
        (SMALL.replace('"small"', '"modules"'), "rule 'modules' of my_rules.py needs a name of letters, digits,"),
        (SMALL.replace('"small"', "5"), "rule '5' of my_rules.py needs a name of letters, digits,"),
        (SMALL.replace("=400", "='400'"), "ValueError: area of rule 'small' is '400'; give a number from 0 to"),
        (SMALL.replace("=400", "=-1"), "ValueError: area of rule 'small' is -1; give a number from 0 to 1,000,000,000"),
        (SMALL.replace('"review"', '"fly"'), "rule 'small' of my_rules.py has the action 'fly'; give one of stop, rev"),
        (
            SMALL.replace("area=400", 'about="class", area=4').replace('"review"', '"drop"'),
            "has the action 'drop'; give",
        ),
        (SMALL.replace("area=400", 'about="file", area=4'), "is about the file; give row, image, class or table."),
        (SMALL.replace("area=400", 'after="nothing", area=4'), "is to be asked after 'nothing', and there is no such"),
        (SMALL.replace("(table, area)", "(table)"), "needs a function of (table, area), and Python says: got an unexp"),
        (re.sub('""".*"""', "area += 1", SMALL), "rule 'small' of my_rules.py says nothing about itself"),
    ],
)
def test_a_module_with_a_fault_is_one_sentence(code: str, words: str, lab: Path) -> None:
    with pytest.raises(CytoyoloError, match=re.escape(words)) as refused:
        load_policy(config(lab, code))
    assert refused.value.exit_code == 1 and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 1 / 0", "rule 'mine' of my_rules.py failed (line 5: ZeroDivisionError: division by zero)"),
        ("pass", "failed (TypeError: the function gave nothing; yield Findings, as `yield from by_row(...)` does)"),
        ("raise SystemExit(3)", "rule 'mine' of my_rules.py failed (line 5: SystemExit: 3)"),
        ("return 3", "the function gave a int; yield Findings"),
        ("return [3]", "the function yielded a int; yield Findings"),
        ("yield Findings(table.labels, [''] * 4, [''] * 4)", "rows must be numbers of rows, one for each finding"),
        ("yield Findings([4], [''], [''])", "rows must be numbers from 0 to 3"),
        ("yield Findings([-1], [''], [''])", "rows must be numbers from 0 to 3"),
        ("yield Findings([0, 1], [''], ['', ''])", "values must be strings, one for each of the 2 rows"),
        ("yield Findings([0], [1], [''])", "values must be strings, one for each of the 1 rows"),
        (r"yield Findings([0], [''], ['a\rb'])", r"details has 'a\rb'; a string must be one line of text, without"),
        (r"yield Findings([0], ['\0'], [''])", r"values has '\x00'; a string must be one line of text, without"),
        (r"yield Findings([0], [''], ['\ud800'])", r"details has '\ud800'; a string must be one line of text, with"),
        ("yield Findings([0], [''], [''], {'colour': ['']})", "`after` has colour; it can have image, x1, "),
    ],
)  # fmt: skip
def test_a_rule_that_gives_anything_else_is_one_sentence(body: str, words: str, lab: Path) -> None:
    code = f'@rule("mine", "info", "keep")\ndef mine(table):\n    """A rule."""\n    {body}\n'
    with pytest.raises(CytoyoloError, match=re.escape(words)) as refused:
        found(lab, code)
    assert "rule 'mine' of my_rules.py" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ("nothing.py", "there is no file"),
        ("[]", "yaml"),
        ("[3]", "'modules' is [3]; give a list of modules, such as [my_rules.py]."),
        ("{a: b}", "'modules' is {'a': 'b'}; give a list of modules"),
        ("nothing_like_it", "the rules of nothing_like_it can't be loaded (ModuleNotFoundError: No module named"),
    ],
)
def test_modules_that_are_none_are_one_sentence(modules: str, words: str, lab: Path) -> None:
    (lab / "mine.yaml").write_text(f"modules: {modules}\n")
    if modules == "[]":
        assert load_policy(lab / "mine.yaml") == RULES
        return
    with pytest.raises(CytoyoloError, match=re.escape(words)):
        load_policy(lab / "mine.yaml")


def test_an_importable_module_beside_the_config(lab: Path) -> None:
    (lab / "lab_of_ours").mkdir()
    (lab / "lab_of_ours" / "__init__.py").write_text("from lab_of_ours import sizes\n")
    (lab / "lab_of_ours" / "sizes.py").write_text(START + SMALL)
    (lab / "mine.yaml").write_text("modules: lab_of_ours\n")
    path = list(sys.path)
    for _ in range(2):  # the second time it is imported already
        made = audit(lab / "labels.csv", config=lab / "mine.yaml")
        assert "small" in set(made.findings["rule"])
    assert [module["name"] for module in made.summary["modules"]] == ["lab_of_ours.sizes"] and sys.path == path


def test_an_importable_module_is_loaded_again_once_it_is_corrected(lab: Path) -> None:
    (lab / "faulty_at_first.py").write_text(f"{START}{SMALL}1 / 0\n")
    (lab / "mine.yaml").write_text("modules: faulty_at_first\n")
    with pytest.raises(CytoyoloError, match="ZeroDivisionError"):
        load_policy(lab / "mine.yaml")
    (lab / "faulty_at_first.py").write_text(START + SMALL)
    assert "small" in load_policy(lab / "mine.yaml")


def test_the_rules_of_an_installed_package(lab: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "bloodlab-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bloodlab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cytoyolo.rules]\nsizes = bloodlab_rules\n")
    (site / "bloodlab_rules.py").write_text(START + SMALL)
    code = "import cytoyolo, sys; print(sorted(set(cytoyolo.audit(sys.argv[1]).findings['rule'])))"
    call = [sys.executable, "-c", code, str(lab / "labels.csv")]
    done = subprocess.run(call, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(site), "HOME": "/"})
    assert "'small'" in done.stdout
    (site / "bloodlab_rules.py").write_text("import nothing_like_it")
    done = subprocess.run(call, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(site), "HOME": "/"})
    assert "the rules of bloodlab_rules of the package bloodlab can't be loaded (ModuleNotFoundError" in done.stderr


def test_an_output_is_not_written_over_a_module(lab: Path) -> None:
    settings = config(lab, SMALL)
    with pytest.raises(CytoyoloError, match=r"my_rules\.py is also an input"):
        repair(lab / "labels.csv", output=lab / "my_rules.py", config=settings, overwrite=True)
    assert (lab / "my_rules.py").read_text() == START + SMALL


def test_the_rule_of_the_docs_runs(lab: Path) -> None:
    section = DOCS.read_text().split("## Rules of your own")[1].split("\n## ")[0]
    code, settings = re.findall(r"(?:^    .*\n|^\n(?=\n?    ))+", section, flags=re.M)[:2]
    (lab / "my_rules.py").write_text(dedent(code))
    (lab / "mine.yaml").write_text(dedent(settings))
    assert len(dedent(code).strip().splitlines()) <= 10
    findings = audit(lab / "labels.csv", config=lab / "mine.yaml").findings
    assert findings[findings["rule"] == "small-platelet"]["line"].tolist() == [3]

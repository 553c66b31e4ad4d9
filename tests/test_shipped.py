"""YAMLs of users: what is read, and in which words and which line what can't be is refused."""

import codecs

import pytest

from cytoyolo.annotations.policy import load_policy
from cytoyolo.cli.training import parse_assignments
from cytoyolo.detector.recipes import load_recipe
from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.shipped import parse_yaml
from cytoyolo.spec import load_spec

LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
FAULTS = {
    "laughs": (LAUGHS, "line 2: the alias \\*a0"),
    "an alias of a mapping": ("a: &x {b: 1}\nc:\n  <<: *x\n", "line 3: the alias \\*x"),
    "a circle": ("a: &x [*x]", "line 1: the alias \\*x"),
    "the same key twice": ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' comes a second time"),
    "the same key twice, within": ("a:\n  - {b: 1, b: 1}\n", "line 2: the key 'b' comes a second time"),
    "a date that is none": ("a: 1\nb: 2024-13-45\n", "line 2: '2024-13-45' is no date"),
    "a time that is none": ("b: 2001-01-01t99:99:99Z", "line 1: '2001-01-01t99:99:99Z' is no date"),
    "digits": (f"a: {'9' * 5000}", "line 1: '9{30}…' is no whole number"),
    "fewer digits": (f"a: {'9' * 4000}", "line 1: '9{30}…' is too large"),
    "digits of another base": (f"a: 0x{'f' * 5000}", "line 1: '0xf{28}…' is too large"),
    "sexagesimal": ("a: 1:30", "line 1: '1:30' would be read as 90"),
    "sexagesimal, with a fraction": ("a: -1:30.5", "line 1: '-1:30.5' would be read as -90.5"),
    "octal": ("a: 010", "line 1: '010' would be read as 8"),
    "code": ("a: 1\nb: !!python/object/apply:os.system [ls]", "line 2: could not determine a constructor"),
    "an unknown tag": ("a: !mine b", "line 1: could not determine a constructor"),
    "a number by its tag": ('a: !!int ""', "line 1: '' is no whole number"),
    "a truth by its tag": ("a: !!bool maybe", "line 1: 'maybe' is no bool"),
    "a mapping by its tag": ("a: !!map x", "line 1: expected a mapping node"),
    "a list as a key": ("? [a]\n: 1", "line 1: found unhashable key"),
    "deep lists": ("a: " + "[" * 100_000, "line 1: nested too deep"),
    "deep mappings": ("{a: \n" * 1000, "line 5[0-9]: nested too deep"),
    "two documents": ("a: 1\n---\na: 2\n", "line 2: expected a single document in the stream but"),
    "a NUL": ("a: 1\nb: x\0y\n", r"line 2: the character U\+0000"),
    "an escape": ("a: 1\n\nb: \x1b[31m\n", r"line 3: the character U\+001B"),
    "a great deal": ("#" * 1_000_001, "longer than 1,000,000 characters"),
}


@pytest.mark.parametrize(("text", "words"), FAULTS.values(), ids=FAULTS)
def test_a_yaml_that_can_t_be_read_is_one_sentence_with_its_line(text: str, words: str) -> None:
    with pytest.raises(CytoyoloError, match=rf"^mine\.yaml is not valid YAML \({words}") as caught:
        parse_yaml("mine.yaml", text.encode())
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a: 1\nb: é".encode("latin-1"), "line 2: not plain UTF-8 text"),
        ("a: é".encode("utf-16-le"), "line 1: "),
        ("a: b".encode("utf-16-be"), r"line 1: the character U\+0000"),
        (codecs.BOM_UTF16_LE + b"a", "not whole UTF-16 text"),
        (b"a: \xed\xa0\x80", "line 1: not plain UTF-8 text"),
    ],
)
def test_bytes_that_are_no_text(data: bytes, words: str) -> None:
    with pytest.raises(CytoyoloError, match=words):
        parse_yaml("mine.yaml", data)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_editors_save_is_read(encoding: str, end: str) -> None:
    text = end.join(["# Zellen", "a: é", "b: [1, 2.5, true, 0, -3, 0x1F, 1_000]", "c: {d: null, '010': '1:30'}", ""])
    wanted = {"a": "é", "b": [1, 2.5, True, 0, -3, 31, 1000], "c": {"d": None, "010": "1:30"}}
    assert parse_yaml("mine.yaml", text.encode(encoding)) == wanted


def test_each_reader_of_yaml_says_so_in_its_own_words(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(LAUGHS)
    for read in (load_spec, load_policy, lambda path: load_recipe({"recipe": path})):
        with pytest.raises(CytoyoloError, match=r"mine\.yaml is not valid YAML \(line 2: the alias \*a0"):
            read(path)


@pytest.mark.parametrize(
    "value",
    ["2024-13-45", "9" * 5000, "9" * 4000, "1:30", "010", "[" * 1000, "&a [*a]", "!!int ''", "\0", "{a: 1, a: 2}"],
)
def test_a_setting_that_can_t_be_read_is_one_sentence(value: str) -> None:
    with pytest.raises(UsageError, match=r"--set is .+, which is not valid YAML \(line 1: ") as caught:
        parse_assignments([f"epochs={value}"])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lr0: .nan", "lr0=nan; give a finite number"),
        ("lr0: -.inf", "lr0=-inf; give a finite number"),
        ("seed: true", "seed=True; give a whole number"),
        ("batch: true", "batch=True; give a whole number"),
        ("1: 2", "'1', which is not a setting of a training"),
        ("epochs: [" + "1, " * 500 + "1]", "give a whole number above 0"),
    ],
)
def test_a_value_of_a_recipe_that_no_training_can_take(line: str, words: str, tmp_path) -> None:
    recipe = {"model": "yolo11n.yaml", "epochs": 2, "imgsz": 64, "batch": 4, "seed": 0}
    key = line.partition(":")[0]
    text = "".join(f"{name}: {value}\n" for name, value in recipe.items() if name != key)
    (tmp_path / "mine.yaml").write_text(text + line + "\n")
    with pytest.raises(UsageError, match=words) as caught:
        load_recipe({"recipe": tmp_path / "mine.yaml"})
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("1E-4", 1e-4), (".1e-3", 1e-4), ("1.e-4", 1e-4), ("1e0", 1)]
)
def test_a_number_with_an_exponent_is_a_number_where_numbers_are_wanted(text: str, value: float, tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"model: yolo11n.yaml\nepochs: 2\nimgsz: 64\nbatch: 4\nseed: 0\nlr0: {text}\n")
    assert load_recipe({"recipe": path})["lr0"] == value
    assert parse_assignments([f"lr0={text}"]) == {"lr0": value}
    path.write_text(f"odd-blur: {{z: {text}}}\n")
    assert load_policy(path)["odd-blur"].thresholds["z"] == value


def test_what_looks_like_an_exponent_is_text_where_text_is_wanted(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("classes: [1e4, {code: 2E-3, name: 5e1}]\nfallback: 2E-3\n")
    spec = load_spec(path)
    assert (spec.codes, spec.names, spec.fallback) == (("1e4", "2E-3"), ("1e4", "5e1"), "2E-3")
    assert parse_assignments(["lr0='1e-4'", "pretrained=1e4.pt"]) == {"lr0": "1e-4", "pretrained": "1e4.pt"}


def test_a_network_of_the_user_s_is_read_in_the_same_way(tmp_path) -> None:
    from cytoyolo.detector.weights import find_start

    path = tmp_path / "mine.yaml"
    path.write_text(LAUGHS)
    with pytest.raises(CytoyoloError, match=r"mine\.yaml is not valid YAML \(line 2: the alias \*a0"):
        find_start(str(path), asked=True)

"""A table that is read as one of another data set: one sentence instead of a finding for each row."""

from pathlib import Path

import pytest

from cytoyolo import audit, check, convert
from cytoyolo.annotations.data_set import check_data_set
from cytoyolo.errors import UsageError, as_typed
from cytoyolo.spec import load_spec
from tests.pictures import JPEG

SPEC = load_spec("cytologia")
OWN = ["segmented"] * 60 + ["banded"] * 30 + ["smudge"] * 10


def refusal(classes: list[str], dataset: str = "cytologia") -> str:
    with pytest.raises(UsageError) as refused:
        check_data_set(Path("t.csv"), classes, load_spec(dataset))
    assert refused.value.exit_code == 2
    return as_typed(refused.value.sentence)


def test_classes_of_ones_own_need_a_yaml() -> None:
    assert refusal(OWN) == (
        "t.csv has the classes 'segmented'; 'banded'; 'smudge', and only 0 of its 100 rows have one of the classes of "
        "'cytologia'; give the YAML of its own data set, which lists these classes, with --dataset."
    )
    assert "only 4 of its 104 rows" in refusal([*OWN, *["PNN"] * 4])


def test_the_data_set_that_it_looks_like_is_named() -> None:
    assert "classes of 'cytologia', so give --dataset cytologia." in refusal([*SPEC.codes] * 3, "wbc5")
    assert "only 15 of its 69 rows" in refusal([*SPEC.codes] * 3, "wbc5")
    assert "classes of 'wbc5', so give --dataset wbc5." in refusal([*load_spec("wbc5").codes] * 9, "pbc3")


@pytest.mark.parametrize(
    "classes",
    [
        OWN[:19],  # few rows are told one by one
        [*OWN, *["PNN"] * 6],
        [code.lower() for code in SPEC.codes * 2],
        [f" {name}" for name in SPEC.names * 2],
        ["0", "1", "2"] * 10,
        [],
    ],
    ids=["few", "some known", "lower case", "names", "ids", "none"],
)
def test_a_table_that_has_classes_of_the_data_set_in_any_form_is_read(classes: list[str]) -> None:
    check_data_set(Path("t.csv"), classes, SPEC)


def test_every_command_that_reads_labels_says_so_once(tmp_path: Path) -> None:
    rows = "".join(f"a{number}.jpg,1,1,20,20,{code}\n" for number, code in enumerate(OWN))
    (tmp_path / "t.csv").write_text("NAME,x1,y1,x2,y2,class\n" + rows)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a0.jpg").write_bytes(JPEG)
    with pytest.raises(UsageError, match="has the classes 'segmented'"):
        audit(tmp_path / "t.csv", output=tmp_path / "found")
    with pytest.raises(UsageError, match="has the classes 'segmented'"):
        convert(tmp_path / "t.csv", images=tmp_path / "images", output=tmp_path / "out", repair=True)
    (tmp_path / "s.csv").write_text("trustii_id," + (tmp_path / "t.csv").read_text().replace("\n", "\n1,")[:-2])
    (tmp_path / "test.csv").write_text("trustii_id,NAME\n1,a0.jpg\n")
    with pytest.raises(UsageError, match="has the classes 'segmented'"):
        check(tmp_path / "test.csv", tmp_path / "s.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "s.csv", "t.csv", "test.csv"]


def test_masks_and_images_without_cells_have_no_say(tmp_path: Path) -> None:
    rows = "".join(f"a{number}.jpg,1,1,20,20,msk\nb{number}.jpg,,,,,\n" for number in range(40))
    (tmp_path / "t.csv").write_text(f"NAME,x1,y1,x2,y2,class\n{rows}c.jpg,1,1,20,20,PNN\n")
    assert "unknown-class" not in set(audit(tmp_path / "t.csv").findings["rule"])

"""Decisions, undoing and redoing; and what becomes of a table, byte for byte."""

import sqlite3
from functools import reduce
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from cytoyolo.annotations import audit as auditing
from cytoyolo.annotations.changes import apply, undo
from cytoyolo.annotations.policy import load_policy
from cytoyolo.annotations.table import LabelTable
from cytoyolo.errors import CytoyoloError
from cytoyolo.reviewing.decisions import Draft, Event, History, Outcome, Refused, drafted, histories
from cytoyolo.reviewing.export import agreement, cohens_kappa, edited, merged
from cytoyolo.reviewing.items import Item, item_of, of_audit, of_curation, of_every_label, rules_to_ask
from cytoyolo.reviewing.store import About, Store, create, is_review
from cytoyolo.spec import load_spec
from cytoyolo.tables.table import sha256
from tests.properties import examples

SPEC = load_spec("wbc5")
HEADER = "NAME,x1,y1,x2,y2,class"
TEXT = f"{HEADER}\na.png,1,2,30,40,PNN\na.png,50,50,80,90,LY\nb.png,5.5,6,20,30,MO\nc.png,1,1,9,9,EO\n"
BOXES = [None, (1.0, 2.0, 30.0, 40.5), (10.0, 10.0, 20.0, 20.0)]


def table_of(text: str = TEXT) -> LabelTable:
    return LabelTable.parse(Path("labels.csv"), text.encode(), SPEC)


def about_of(text: str = TEXT) -> About:
    return About("labels", "labels.csv", sha256(text.encode()), "images", "", "", SPEC, text.encode())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    create(tmp_path / "r.sqlite", about_of(), of_every_label(table_of()))
    return Store(tmp_path / "r.sqlite")


def change(row: int, code: str = "", box: tuple[float, float, float, float] | None = None) -> Draft:
    return Draft("change", f"row:{row}", "a.png", Outcome("label", code, box))


GONE = Draft("accept", "image:a.png", "a.png", Outcome("gone"))
DRAWN = Draft("add", "new:0", "a.png", Outcome("label", "BA", (7, 7, 12.5, 12)))
FOUND = Draft("accept", "found:3", "a.png", Outcome("label", "LY"))
SUSPECT = Item("found:3", "a.png", ("overlooked",), suggestion=Outcome("label", "LY"), box=(10, 10, 30, 30))

OUTCOMES = st.one_of(
    st.builds(Outcome, st.just("label"), st.sampled_from(["", *SPEC.codes]), st.sampled_from(BOXES)),
    st.builds(Outcome, st.sampled_from(["ignore", "gone", "same", "open"]), st.just(""), st.sampled_from(BOXES[:1])),
)
STEPS = st.lists(
    st.one_of(
        st.builds(lambda row, outcome: Draft("change", f"row:{row}", "a.png", outcome), st.integers(0, 3), OUTCOMES),
        st.builds(
            lambda number, code: Draft("add", f"new:{number}", "b.png", Outcome("label", code, BOXES[1])),
            st.integers(0, 3),
            st.sampled_from(SPEC.codes),
        ),
        st.just("undo"),
        st.just("redo"),
    ),
    max_size=25,
)
FORMS = st.sampled_from([TEXT, TEXT.replace("\n", "\r\n"), TEXT.replace(",", ";").rstrip("\n"), TEXT + "\n"])


def after(steps: list[object], reviewer: str = "ann") -> History:
    """The history after steps; a step that can't be done is left out."""
    history, batches = History(), 0
    for number, step in enumerate(steps, start=1):
        if step == "undo" and history.done:
            history.add(Event(number, number, reviewer, "undo", str(history.done[-1]), "", Outcome("open"), "", "t"))
        elif step == "redo" and history.undone:
            history.add(Event(number, number, reviewer, "redo", str(history.undone[-1]), "", Outcome("open"), "", "t"))
        elif isinstance(step, Draft):
            batches += 1
            history.add(Event(number, number, reviewer, *step, "2026-11-29T10:00:00+00:00"))
    return history


@examples(400, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, FORMS)
def test_any_decisions_are_applied_and_undone_byte_for_byte(steps: list[object], text: str) -> None:
    table = table_of(text)
    verdicts = merged({"ann": after(steps)}, table, []).verdicts
    data, log = edited(table, verdicts, [])
    assert apply(text.encode(), log) == data
    assert undo(data, log) == text.encode()
    assert list(log.columns[-2:]) == ["reviewer", "time"]
    assert set(log["reviewer"].iloc[1:]) <= {"ann"} and not log.isna().any().any()


@examples(300)
@given(STEPS)
def test_undoing_everything_leads_back_and_redoing_leads_forward(steps: list[object]) -> None:
    history = after(steps)
    before, count = history.decisions(), len(history.done)
    for number in range(count):
        event = Event(1000 + number, 0, "ann", "undo", str(history.done[-1]), "", Outcome("open"), "", "t")
        history.add(event)
    assert history.decisions() == {}
    for number in range(count):
        history.add(Event(2000 + number, 0, "ann", "redo", str(history.undone[-1]), "", Outcome("open"), "", "t"))
    assert history.decisions() == before


def test_a_decision_changes_only_what_it_names(store: Store) -> None:
    store.decide("ann", [change(2, "LY")])
    store.decide("ann", [change(0, box=(2, 2, 30, 40))])
    store.decide("ann", [Draft("delete", "row:3", "c.png", Outcome("gone"))])
    store.decide("ann", [Draft("ignore", "row:1", "a.png", Outcome("ignore"))])
    store.decide("ann", [Draft("add", "new:0", "b.png", Outcome("label", "BA", (7, 7, 12.5, 12)))])
    data, log = edited(table_of(), merged(store.histories, table_of(), []).verdicts, [])
    assert data.decode() == (
        f"{HEADER}\na.png,2,2,30,40,PNN\na.png,50,50,80,90,msk\nb.png,5.5,6,20,30,LY\nb.png,7,7,12.5,12,BA\n"
    )
    assert undo(data, log) == TEXT.encode()
    assert set(log["reviewer"].iloc[1:]) == {"ann"} and log["time"].iloc[1:].str.endswith("+00:00").all()


def test_everything_is_there_again_when_the_file_is_opened(store: Store) -> None:
    store.decide("ann", [change(0, "LY"), change(1, "MO")])
    store.decide("bob", [change(0, "EO")])
    store.decide("ann", [Draft("comment", "row:0", "a.png", Outcome("open"), "large granules")])
    store.undo("ann")
    store.redo("ann")
    store.undo("bob")
    again = Store(store.path)
    assert again.about == about_of() and again.items == store.items
    assert {name: one.decisions() for name, one in again.histories.items()} == {
        name: one.decisions() for name, one in store.histories.items()
    }
    assert again.history("ann").comment("row:0") == "large granules"
    assert again.history("bob").decisions() == {} and again.history("bob").undone


def test_decisions_of_one_batch_are_undone_together(store: Store) -> None:
    store.decide("ann", [change(0, "LY"), change(1, "MO")])
    assert [event.subject for event in store.undo("ann")] == ["row:0", "row:1"]
    assert store.history("ann").decisions() == {}
    with pytest.raises(Refused, match="nothing to undo"):
        store.undo("ann")


def test_the_database_refuses_to_change_or_delete_an_event(store: Store) -> None:
    store.decide("ann", [change(0, "LY")])
    store.close()
    with sqlite3.connect(store.path) as database:
        for query in ("DELETE FROM events", "UPDATE events SET kind = 'keep'"):
            with pytest.raises(sqlite3.IntegrityError, match="only added"):
                database.execute(query)


def test_a_full_disk_refuses_the_decision_and_loses_nothing(store: Store) -> None:
    store.decide("ann", [change(0, "LY")])
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Refused, match=r"could not be stored in r\.sqlite .*full"):
        for number in range(2000):
            store.decide("ann", [Draft("comment", "row:1", "a.png", Outcome("open"), f"{number}" * 200)])
    stored = len(list(Store(store.path).events()))
    assert 1 <= stored == len(store.history("ann").done)


def test_a_review_that_cannot_be_written_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = sqlite3.connect

    def limited(path: object) -> sqlite3.Connection:
        connection = plain(path)
        connection.execute("PRAGMA max_page_count = 2")
        return connection

    monkeypatch.setattr(sqlite3, "connect", limited)
    with pytest.raises(CytoyoloError, match=r"r\.sqlite could not be written .*full"):
        create(tmp_path / "r.sqlite", about_of(), [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "change", "class": "XX"}, "'XX' is no class"),
        ({"kind": "change", "class": "<b>LY</b>"}, "is no class"),
        ({"kind": "change", "box": [1, 1, 200, 20]}, "not inside the image of 100 x 80"),
        ({"kind": "change", "box": [-1, 1, 20, 20]}, "not inside the image"),
        ({"kind": "change", "box": [5, 5, 5, 20]}, "has no size"),
        ({"kind": "change", "box": [20, 5, 5, 20]}, "has no size"),
        ({"kind": "change", "box": [1, 2, 3]}, "four numbers"),
        ({"kind": "change", "box": [1, 2, 3, float("nan")]}, "four numbers"),
        ({"kind": "change", "box": [1, 2, True, 9]}, "four numbers"),
        ({"kind": "change"}, "nothing was changed"),
        ({"kind": "accept"}, "no suggestion"),
        ({"kind": "undo"}, "no decision about"),
        ({"kind": "drop table"}, "no kind"),
        ({"kind": "add", "class": "LY"}, "no decision about"),
        ({"kind": "sign"}, "no decision about"),
        ({"kind": "comment", "comment": "x" * 3000}, "at most 2,000"),
        ({"kind": "keep", "subject": "nosuch"}, "no decision about"),
        ({"kind": "keep", "subject": 3}, "no kind, subject or image"),
    ],
)
def test_a_wrong_decision_is_one_sentence(given: dict[str, object], words: str) -> None:
    with pytest.raises(Refused, match=words):
        drafted({"subject": "row:0", "image": "a.png", **given}, None, SPEC.codes, (100, 80))


def test_reviewers_who_disagree_are_listed_and_not_carried_out(store: Store) -> None:
    for name, code in (("ann", "LY"), ("bob", "MO")):
        store.decide(name, [change(0, code)])
        store.decide(name, [change(1, "MO")])
    store.decide("ann", [change(2, box=(5, 6, 20, 30))])
    store.decide("bob", [Draft("skip", "row:2", "b.png", Outcome("open"))])
    store.decide("bob", [Draft("comment", "row:0", "a.png", Outcome("open"), "a nucleolus")])
    made = merged(store.histories, table_of(), [])
    assert [(one.subject, one.reviewer) for one in made.verdicts] == [("row:1", "ann; bob"), ("row:2", "ann")]
    rows = made.conflicts[["line", "reviewer", "class", "comment"]].to_numpy().tolist()
    assert rows == [[2, "ann", "LY", ""], [2, "bob", "MO", "a nucleolus"]]
    data, log = edited(table_of(), made.verdicts, [])
    assert data.decode().splitlines()[1] == "a.png,1,2,30,40,PNN"
    assert log["reviewer"].tolist() == ["", "ann; bob", "ann"]


def test_two_drawings_of_a_cell_become_one_row(store: Store) -> None:
    for name, left in (("ann", 10.0), ("bob", 11.0)):
        store.decide(name, [Draft("add", "new:0", "b.png", Outcome("label", "BA", (left, 10, left + 20, 30)))])
    store.decide("bob", [Draft("add", "new:1", "b.png", Outcome("label", "LY", (60, 60, 70, 70)))])
    made = merged(store.histories, table_of(), [])
    assert [(one.outcome.code, one.reviewer) for one in made.verdicts] == [("BA", "ann; bob"), ("LY", "bob")]


def test_each_thing_that_reviewers_disagree_on_has_a_number(store: Store) -> None:
    one, other = (1.0, 1.0, 20.0, 20.0), (60.0, 60.0, 80.0, 80.0)
    for name, code, boxes in (("ann", "LY", (one, other)), ("bob", "MO", (other, one))):
        for at, box in enumerate(boxes):
            store.decide(name, [Draft("add", f"new:{at}", "b.png", Outcome("label", code, box))])
        store.decide(name, [change(0, code)])
    conflicts = merged(store.histories, table_of(), []).conflicts
    assert conflicts[["conflict", "subject", "reviewer"]].to_numpy().tolist() == [
        [1, "row:0", "ann"], [1, "row:0", "bob"],
        [2, "new:0", "ann"], [2, "new:1", "bob"], [3, "new:1", "ann"], [3, "new:0", "bob"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ann", "box", "code", "made", "disputed"),
    [
        (("accept", "label", "LY"), (11, 10, 30, 30), "LY", ["a.png,11,10,30,30,LY"], []),
        (("accept", "label", "LY"), (11, 10, 30, 30), "MO", [], ["found:3", "new:0"]),
        (("accept", "label", "LY"), (16, 10, 32, 30), "LY", [], ["found:3", "new:0"]),
        (("ignore", "ignore", ""), (11, 10, 30, 30), "LY", [], ["found:3", "new:0"]),
        (("keep", "same", ""), (11, 10, 30, 30), "LY", [], ["found:3", "new:0"]),
        (("skip", "open", ""), (11, 10, 30, 30), "LY", ["a.png,11,10,30,30,LY"], []),
        (("accept", "label", "LY"), (60, 10, 80, 30), "MO", ["a.png,10,10,30,30,LY", "a.png,60,10,80,30,MO"], []),
    ],
)
@pytest.mark.parametrize("names", [("ann", "bob"), ("zoe", "bob")])
def test_a_found_cell_that_another_reviewer_drew_is_one_cell(
    store: Store, names: tuple[str, str], ann: tuple[str, str, str], box: tuple[int, ...], code: str, made: list[str],
    disputed: list[str],
) -> None:  # fmt: skip
    kind, state, found = ann
    store.decide(names[0], [Draft(kind, "found:3", "a.png", Outcome(state, found))])
    store.decide(names[1], [Draft("add", "new:0", "a.png", Outcome("label", code, box))])
    together = merged(store.histories, table_of(), [SUSPECT])
    assert sorted(together.conflicts["subject"]) == disputed
    data, log = edited(table_of(), together.verdicts, [SUSPECT])
    assert data.decode().splitlines()[5:] == made and undo(data, log) == TEXT.encode()
    if len(made) == 1 and state == "label":
        assert together.verdicts[0].reviewer == "; ".join(sorted(names))


def test_what_one_reviewer_found_and_drew_are_two_cells(store: Store) -> None:
    store.decide("ann", [FOUND])
    store.decide("ann", [Draft("add", "new:0", "a.png", Outcome("label", "LY", (11, 10, 30, 30)))])
    store.decide("bob", [FOUND])
    verdicts = merged(store.histories, table_of(), [SUSPECT]).verdicts
    assert [(one.subject, one.reviewer) for one in verdicts] == [("found:3", "ann; bob"), ("new:0", "ann")]


@pytest.mark.parametrize(
    ("ann", "bob", "disputed"),
    [
        ([GONE], [change(0, "LY")], ["image:a.png", "row:0"]),
        ([GONE], [Draft("keep", "row:0", "a.png", Outcome("same"))], ["image:a.png", "row:0"]),
        ([GONE], [Draft("ignore", "row:0", "a.png", Outcome("ignore"))], ["image:a.png", "row:0"]),
        ([GONE, change(0, "MO")], [change(0, "LY"), DRAWN], ["image:a.png", "new:0", "row:0", "row:0"]),
        ([GONE], [FOUND], ["found:3", "image:a.png"]),
        ([GONE], [Draft("keep", "found:3", "a.png", Outcome("same"))], []),
        ([GONE], [Draft("delete", "row:0", "a.png", Outcome("gone"))], []),
        ([GONE], [Draft("skip", "row:0", "a.png", Outcome("open"))], []),
        ([GONE], [Draft("change", "row:2", "b.png", Outcome("label", "LY"))], []),
        ([GONE], [change(0, "LY"), GONE], []),
        ([change(0, "LY"), GONE, DRAWN], [], []),
        ([GONE, change(0, "LY")], [GONE], []),
    ],
)
def test_who_removes_an_image_disagrees_with_who_labels_it(
    store: Store, ann: list[Draft], bob: list[Draft], disputed: list[str]
) -> None:
    for name, drafts in (("ann", ann), ("bob", bob)):
        for draft in drafts:
            store.decide(name, [draft])
    made = merged(store.histories, table_of(), [SUSPECT])
    assert sorted(made.conflicts["subject"]) == disputed
    data, log = edited(table_of(), made.verdicts, [SUSPECT])
    assert undo(data, log) == TEXT.encode()
    assert (b"a.png" in data) == bool(disputed) and b"c.png,1,1,9,9,EO" in data
    if disputed:
        assert data == TEXT.encode()


@examples(200)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    own = cohens_kappa(first, second)
    if len({*first, *second}) == 1:
        assert own != own
    else:
        assert own == pytest.approx(cohen_kappa_score(first, second))


def test_agreement_compares_what_both_decided(store: Store) -> None:
    for name, codes in (("ann", ("LY", "LY", "MO")), ("bob", ("LY", "MO"))):
        for row, code in enumerate(codes):
            store.decide(name, [change(row, code)])
    found = agreement(store.histories, table_of(), [])
    assert found.to_numpy().tolist() == [["ann", "bob", 2, 1, 0.0]]


def test_items_survive_the_file() -> None:
    item = Item(
        "found:3", "a.png", ("overlooked",), ("text",), Outcome("label", "LY", (1.0, 2.0, 3.0, 4.0)), (0, 0, 5, 5),
        ("row:1", "image:b.png"),
    )  # fmt: skip
    assert item_of(item.to_dict()) == item and item.partner_images == ["b.png"]
    older = {name: value for name, value in Item("row:0", "a.png").to_dict().items() if name != "partners"}
    assert item_of(older) == Item("row:0", "a.png")


def test_an_audit_suggests_what_its_rules_would_do() -> None:
    text = f"{HEADER}\na.png,30,2,1,40,pnn\na.png,5,5,5,60,LY\nb.png,1,1,20,20,MO\n"
    table, policy = table_of(text), load_policy()
    given = auditing.run(table, policy).findings.assign(line=lambda found: found["line"].fillna("").astype(str))
    items, whole = of_audit(table, given, auditing.run(table, policy, only=rules_to_ask(given, policy)))
    found = {item.subject: item for item in items}
    assert found["row:0"].suggestion == Outcome("label", "PNN", (1, 2, 30, 40))
    assert set(found["row:0"].rules) >= {"inverted", "class-variant"}
    assert found["row:1"].suggestion == Outcome("gone")
    assert whole == (~given["rule"].map(lambda name: policy[name].about in ("row", "image"))).sum()
    verdicts = merged(
        {"ann": after([Draft("accept", "row:0", "a.png", found["row:0"].suggestion)])}, table, items
    ).verdicts
    assert edited(table, verdicts, items)[0].decode().splitlines()[1] == "a.png,1,2,30,40,PNN"


def test_a_finding_names_its_other_row_or_image() -> None:
    text = f"{HEADER}\na.png,1,2,30,40,PNN\na.png,1,2,30,40,PNN\na.png,2,2,30,40,LY\nb.png,1,1,20,20,MO\n"
    table = table_of(text)
    given = auditing.run(table, load_policy()).findings.assign(line=lambda one: one["line"].fillna("").astype(str))
    copy = {
        "image": "b.png",
        "rule": "same-bytes",
        "severity": "warning",
        "action": "group",
        "detail": "the same bytes",
    }
    leak = {**copy, "rule": "leak", "value": "test 1.png", "line": "5"}
    itself = {**copy, "rule": "leak", "value": "b.png", "line": "5", "detail": "is in the test table, line 2"}
    given = pd.concat([given, pd.DataFrame([{**copy, "value": "a.png", "line": "5"}, leak, itself])])
    items, _ = of_audit(table, given, auditing.run(table, load_policy()))
    partners = {item.subject: item.partners for item in items}
    assert partners["row:1"] == ("row:0",) and set(partners["row:2"]) == {"row:0"}
    assert partners["image:b.png"] == ("image:a.png", "image:test 1.png")


def test_a_curation_shows_the_most_doubtful_class_first() -> None:
    columns = ["line", "image", "rule", "value", "action", "detail"]
    rows = [
        ("2", "a.png", "loose-box", "1,2,30,40", "replace", "IoU 0.4"),
        ("4", "b.png", "wrong-class", "", "review", "labelled MO, looks like LY"),
        ("3", "a.png", "wrong-class", "", "review", "labelled LY, looks like MO"),
        ("5", "c.png", "spurious", "", "mask", "nothing is found here"),
        ("", "b.png", "overlooked", "40,40,60,70", "mask", "a cell without a label: BA at confidence 0.93"),
    ]
    items = of_curation(table_of(), pd.DataFrame(rows, columns=columns), {2: "LY", 1: "MO"}, {0: (2, 2, 28, 38)})
    assert [item.subject for item in items] == ["row:2", "row:1", "row:3", "found:4", "row:0"]
    assert [item.suggestion for item in items] == [
        Outcome("label", "LY"), Outcome("label", "MO"), Outcome("ignore"), Outcome("label", "BA"),
        Outcome("label", "", (2, 2, 28, 38)),
    ]  # fmt: skip
    events = [Draft("accept", item.subject, item.image, item.suggestion) for item in items if item.suggestion]
    data, log = edited(table_of(), merged({"ann": after(list(events))}, table_of(), items).verdicts, items)
    assert data.decode().splitlines()[1:] == [
        "a.png,2,2,28,38,PNN", "a.png,50,50,80,90,MO", "b.png,5.5,6,20,30,LY", "c.png,1,1,9,9,msk",
        "b.png,40,40,60,70,BA",
    ]  # fmt: skip
    assert undo(data, log) == TEXT.encode()


def test_a_found_cell_has_the_name_of_its_image_in_the_table() -> None:
    columns = ["line", "image", "rule", "value", "action", "detail"]
    rows = [
        ("", name, "overlooked", "40,40,60,70", "mask", "a cell without a label: BA at confidence 0.93")
        for name in ("B.PNG", "b", "a.png", "nosuch.png")
    ]
    items = of_curation(table_of(), pd.DataFrame(rows, columns=columns), {}, {})
    assert [item.image for item in items] == ["b.png", "b.png", "a.png", "nosuch.png"]
    events = [Draft("accept", items[0].subject, items[0].image, items[0].suggestion)]
    data, _ = edited(table_of(), merged({"ann": after(list(events))}, table_of(), items).verdicts, items)
    assert data.decode().splitlines()[5] == "b.png,40,40,60,70,BA"


def test_other_files_are_refused(tmp_path: Path, store: Store) -> None:
    other, newer, text = (tmp_path / name for name in ("other.sqlite", "newer.sqlite", "text.sqlite"))
    sqlite3.connect(other).executescript("CREATE TABLE a (b); ").close()
    newer.write_bytes(store.path.read_bytes())
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    text.write_text("no database at all")
    assert is_review(other) and not is_review(text)
    for path, words in (
        (other, "of another program"),
        (newer, "of another version"),
        (text, "can't be read as a review"),
    ):
        with pytest.raises(CytoyoloError, match=words):
            Store(path)


def test_histories_are_kept_apart(store: Store) -> None:
    store.decide("ann", [change(0, "LY")])
    store.decide("bob", [change(0, "MO")])
    store.undo("ann")
    found = histories(store.events())
    assert found["ann"].decisions() == {} and found["bob"].decisions()["row:0"].outcome.code == "MO"
    assert reduce(lambda count, _: count + 1, store.events(), 0) == 3

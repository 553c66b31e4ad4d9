"""The server: who is answered, and that nothing that was answered is ever lost."""

import asyncio
import json
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from cytoyolo.errors import CytoyoloError, UsageError
from cytoyolo.images.info import decode
from cytoyolo.locks import locked
from cytoyolo.reviewing.access import check_host, check_reviewer, hosts_of, listen
from cytoyolo.reviewing.items import Item
from cytoyolo.reviewing.pictures import PictureMaker
from cytoyolo.reviewing.server import server_of
from cytoyolo.reviewing.store import Store
from tests.reviewing import Served, made_review, opened_review

HOST = "127.0.0.1:8765"
SENT = {"origin": f"http://{HOST}", "content-type": "application/json"}
KEEP = {"kind": "keep", "subject": "row:0"}


@pytest.fixture
def made(tmp_path: Path) -> Served:
    return opened_review(made_review(tmp_path, 4), password="correct horse")


@pytest.fixture
def stranger(made: Served) -> TestClient:
    """A browser without a session."""
    return TestClient(made.app, base_url=f"http://{HOST}")


@pytest.fixture
def client(made: Served, stranger: TestClient) -> TestClient:
    """A browser that opened the printed address."""
    assert stranger.get(f"/?token={made.access.token}").status_code == 200
    return stranger


def post(client: TestClient, path: str, content: Any, **headers: str) -> Any:
    return client.post(path, content=json.dumps(content), headers={**SENT, **headers})


def test_the_token_of_the_address_opens_the_page_and_becomes_a_strict_cookie(
    made: Served, stranger: TestClient
) -> None:
    answer = stranger.get(f"/?token={made.access.token}")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and made.access.token.lower() not in cookie
    assert stranger.get("/api/overview").json()["reviewer"] == "ann"


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 5000])
def test_a_forged_token_opens_nothing(stranger: TestClient, token: str) -> None:
    assert stranger.get("/", params={"token": token}).status_code == 401
    for path in ("/api/overview", "/api/places", "/api/item/0", "/image/0", "/crop/0"):
        assert stranger.get(path).status_code == 401
    for path in ("/api/decide", "/api/undo", "/api/redo"):
        assert post(stranger, path, KEEP).status_code == 401


def test_a_forged_cookie_opens_nothing(made: Served, stranger: TestClient) -> None:
    stranger.cookies.set(made.access.cookie, "forged")
    assert stranger.get("/api/overview").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"host": "evil.example"},
        {"host": "evil.example:8765"},
    ],
)
def test_a_request_of_another_page_is_refused(made: Served, client: TestClient, headers: dict[str, str]) -> None:
    assert post(client, "/api/decide", KEEP, **headers).status_code == 403
    assert made.store.history("ann").decisions() == {}
    assert post(client, "/api/decide", KEEP).status_code == 200


@pytest.mark.parametrize("subject", ["row:00", "row:\u0660", "row:+0", "row:99", "row:", "new:0"])
def test_a_label_has_one_name_only(subject: str, made: Served, client: TestClient) -> None:
    """Two names of one label would be two changes of it, and the log of both could not be applied."""
    answer = post(client, "/api/decide", {**KEEP, "subject": subject})
    assert answer.status_code in (400, 409) and made.store.history("ann").decisions() == {}


def test_a_request_without_origin_is_refused(client: TestClient) -> None:
    assert client.post("/api/decide", json=KEEP).status_code == 403


def test_another_page_reads_nothing(client: TestClient) -> None:
    for path in ("/api/overview", "/image/0", "/static/labels.js"):
        assert client.get(path, headers={"sec-fetch-site": "cross-site"}).status_code == 403
        assert client.get(path, headers={"host": "rebound.example"}).status_code == 403


def test_the_policy_forbids_everything_from_outside(client: TestClient) -> None:
    for path in ("/", "/api/overview", "/static/labels.js", "/image/0", "/nosuch"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin" and headers["cache-control"] == "no-store"


def test_only_files_of_the_page_are_served(client: TestClient) -> None:
    for path in ("/static/../store.py", "/static/%2e%2e%2fstore.py", "/static/index.html", "/static/x", "/etc/passwd"):
        assert client.get(path).status_code == 404


def test_reviewers_at_other_machines_give_name_and_password(made: Served, stranger: TestClient) -> None:
    began = time.monotonic()
    assert post(stranger, "/login", {"name": "bob", "password": "wrong"}).status_code == 403
    assert time.monotonic() - began >= 1
    assert post(stranger, "/login", {"name": "a;b", "password": "correct horse"}).status_code == 409
    assert post(stranger, "/login", {"name": "bob", "password": "correct horse"}).status_code == 200
    assert stranger.get("/api/overview").json()["reviewer"] == "bob"
    assert post(stranger, "/api/decide", KEEP).status_code == 200
    assert set(made.store.histories["bob"].decisions()) == {"row:0"} and "ann" not in made.store.histories


def test_without_a_password_nobody_signs_in(tmp_path: Path) -> None:
    made = opened_review(made_review(tmp_path, 2))
    stranger = TestClient(made.app, base_url=f"http://{HOST}")
    assert "terminal" in stranger.get("/").text
    assert post(stranger, "/login", {"name": "bob", "password": ""}).status_code == 403


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{" * 100_000, 400),
        (b"[1]", 400),
        (b"\xff", 400),
        (b"", 400),
        (b'{"kind": "keep"}', 409),
        (b'{"kind": "keep", "subject": "row:999999"}', 409),
        (b'{"kind": "keep", "subject": "row:-1"}', 409),
        (b'{"kind": "keep", "subject": "row:1e3"}', 409),
        (b'{"kind": "keep", "subject": {"a": 1}}', 409),
        (b'{"kind": "delete", "subject": "new:0"}', 409),
        (b'{"kind": "add", "image": "../../x.png", "class": "LY", "box": [1, 1, 9, 9]}', 409),
        (b'{"kind": "change", "subject": "row:0", "box": [1, 1, 9e99, 9]}', 409),
        (b'{"kind": "change", "subject": "row:0", "box": [1, 1, Infinity, 9]}', 409),
        (b'{"kind": "sign", "subject": "slide:a"}', 409),
        (b"x" * 300_000, 413),
    ],
)
def test_a_wrong_request_is_one_sentence_and_stores_nothing(
    made: Served, client: TestClient, content: bytes, status: int
) -> None:
    answer = client.post("/api/decide", content=content, headers=SENT)
    assert answer.status_code == status and answer.json()["error"].endswith(".")
    assert list(made.store.events()) == []


def test_wrong_numbers_in_addresses_are_answered(client: TestClient) -> None:
    assert client.get("/api/item/99999").status_code == 409
    assert client.get("/image/99999").status_code == 404
    assert client.get("/crop/99999").status_code == 404
    assert client.get("/api/places?status=nosuch").status_code == 409
    assert client.get(f"/api/item/{'9' * 400}").status_code in (404, 409)
    assert client.get("/api/places?rule=nosuch").json() == {"places": []}


def test_a_decision_whose_answer_was_lost_is_stored_once(made: Served, client: TestClient) -> None:
    content = {"kind": "add", "image": "0.png", "class": "LY", "box": [1, 1, 9, 9], "key": "abc"}
    first, again = (post(client, "/api/decide", content).json() for _ in range(2))
    assert first == again and len(made.store.history("ann").decisions()) == 1


def test_a_later_decision_keeps_the_class_and_the_box_that_it_does_not_name(made: Served, client: TestClient) -> None:
    def decided(subject: str, **content: object) -> tuple[object, ...]:
        assert post(client, "/api/decide", {"subject": subject, **content}).status_code == 200
        return made.store.history("ann").decisions()[subject].outcome

    moved, again = [21, 30, 80, 90], [22, 30, 80, 90]
    assert decided("row:0", kind="change", **{"class": "LY"}) == ("label", "LY", None)
    assert decided("row:0", kind="change", box=moved) == ("label", "LY", tuple(moved))
    assert decided("row:0", kind="change", **{"class": "MO"}) == ("label", "MO", tuple(moved))
    assert decided("row:0", kind="accept") == ("label", "EO", tuple(moved))
    assert decided("row:0", kind="ignore") == ("ignore", "", tuple(moved))
    assert decided("row:0", kind="change", box=again) == ("ignore", "", tuple(again))
    assert decided("row:0", kind="comment", comment="seen")[0] == "ignore"
    assert decided("row:0", kind="keep") == ("same", "", None)
    content = {"kind": "add", "image": "0.png", "class": "LY", "box": [1, 1, 9, 9]}
    assert post(client, "/api/decide", content).status_code == 200
    assert decided("new:0", kind="change", **{"class": "MO"}) == ("label", "MO", (1, 1, 9, 9))
    assert decided("new:0", kind="change", box=again) == ("label", "MO", tuple(again))


def test_an_item_tells_what_is_around_it(client: TestClient) -> None:
    item = client.get("/api/item/0?next=1,2,x").json()
    assert item["size"] == [200, 160] and [one["subject"] for one in item["others"]] == ["row:1"]
    assert item["suggestion"] == {"state": "label", "class": "EO", "box": None}
    assert {one["class"] for one in item["alike"]} <= {"BA", "EO"}
    picture = client.get("/image/0")
    assert picture.headers["content-type"] == "image/png" and picture.content.startswith(b"\x89PNG")
    assert client.get("/crop/1").headers["content-type"] == "image/jpeg"


def test_a_plain_jpeg_is_sent_as_it_is_and_other_images_as_they_are_read(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(picture).save(tmp_path / "plain.jpg")
    Image.fromarray(picture).save(tmp_path / "turned.jpg", exif=turned)
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "inks.jpg")
    (tmp_path / "tail.jpg").write_bytes((tmp_path / "plain.jpg").read_bytes() + b"more")
    Image.fromarray(picture).save(tmp_path / "other.png")
    names = ["plain.jpg", "turned.jpg", "inks.jpg", "tail.jpg", "other.png"]
    maker = PictureMaker(tmp_path, {name: name for name in names})
    for name in names:
        shown = maker.image(name)
        assert (shown.data == (tmp_path / name).read_bytes()) == (name == "plain.jpg")
        if name != "plain.jpg":
            read = cv2.imdecode(np.frombuffer(shown.data, np.uint8), cv2.IMREAD_COLOR)
            assert np.array_equal(read, decode(tmp_path / name)[0])
    maker.close()


def test_an_answer_is_sent_at_once() -> None:
    async def has_no_delay() -> bool:
        bound, address, _ = listen(None, 38_765)
        found = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sock = writer.get_extra_info("socket")
            found.set_result(bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            writer.close()

        async with await asyncio.start_server(connected, sock=bound):
            _, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
            writer.close()
            return await found

    with ThreadPoolExecutor(1) as pool:  # a browser of other tests may have its event loop in this thread
        assert pool.submit(asyncio.run, has_no_delay()).result()


def test_the_other_image_of_a_finding_is_served(tmp_path: Path) -> None:
    item = Item(
        "image:1.png", "1.png", ("same-bytes",), ("d",), partners=("image:0.png", "image:elsewhere.png", "row:5")
    )
    made = opened_review(made_review(tmp_path, 3, [item]))
    client = TestClient(made.app, base_url=f"http://{HOST}")
    assert client.get("/partner/0/0").status_code == 401
    client.get(f"/?token={made.access.token}")
    first, missing, row = client.get("/api/item/0").json()["partners"]
    assert first["image"] == "0.png" and [one["subject"] for one in first["labels"]] == ["row:0", "row:1"]
    assert missing["size"] is None and "no file" in missing["problem"]
    assert row["line"] == 7 and row["image"] == "2.png"
    assert client.get("/partner/0/0").content == client.get("/partner/0/0").content != b""
    assert [client.get(f"/partner/0/{number}").status_code for number in (0, 1, 2, 3)] == [200, 404, 200, 404]
    answer = post(client, "/api/decide", {"kind": "add", "image": "elsewhere.png", "class": "LY", "box": [1, 1, 9, 9]})
    assert answer.status_code == 409


def test_rows_without_the_name_of_an_image_share_none(tmp_path: Path) -> None:
    items = [Item("row:6", "", ("blank",), ("d",)), Item("row:7", " ", ("broken-row",), ("d",))]
    made = opened_review(made_review(tmp_path, 3, items, ",1,1,9,9,LY\n ,,,,,\n,2,2,8,8,LY\n"))
    client = TestClient(made.app, base_url=f"http://{HOST}")
    client.get(f"/?token={made.access.token}")
    for place, label in ((0, {"class": "LY", "box": [1, 1, 9, 9]}), (1, {"class": "", "box": None})):
        item = client.get(f"/api/item/{place}").json()
        assert item["label"].items() >= label.items() and item["problem"] == "has no name"
        assert item["others"] == [] and client.get(f"/image/{place}").status_code == 404


def test_the_next_free_port_is_taken() -> None:
    first, address, hosts = listen(None, 28_765)
    second, other, _ = listen(None, int(address.rpartition(":")[2]))
    with first, second:
        assert other != address and int(other.rpartition(":")[2]) > int(address.rpartition(":")[2])
        assert first.getsockname()[0] == "127.0.0.1" and f"localhost:{address.rpartition(':')[2]}" in hosts
    for port in (0, 70_000):
        with pytest.raises(UsageError, match="port"):
            listen(None, port)
    with pytest.raises(UsageError, match="this machine"):
        listen("192.0.2.1", 28_765)


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("LocalHost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("0:0:0:0:0:0:0:1", "[::1]"),
    ],
)
def test_a_host_is_known_as_browsers_write_it(host: str, named: str) -> None:
    try:
        bound, address, hosts = listen(host, 28_965)
    except UsageError:
        pytest.skip("this machine has no IPv6")
    with bound:
        assert address.rpartition(":")[0] == named and hosts == {address}


@pytest.mark.parametrize("named", ["127.0.0.1", "localhost:80", "[::1]"])
def test_browsers_leave_out_port_80(tmp_path: Path, named: str) -> None:
    made = opened_review(made_review(tmp_path, 2), port=80)
    made.access.hosts = hosts_of(("127.0.0.1", "localhost", "[::1]"), 80)
    client = TestClient(made.app, base_url=f"http://{named}")
    client.get("/", params={"token": made.access.token}, headers={"host": named})
    assert post(client, "/api/decide", KEEP, host=named, origin=f"http://{named}").status_code == 200
    assert post(client, "/api/decide", KEEP, host=named, origin="http://evil").status_code == 403
    assert post(client, "/api/decide", KEEP, host="evil", origin=f"http://{named}").status_code == 403
    assert hosts_of(["localhost"], 8765) == {"localhost:8765"}


@pytest.mark.parametrize(
    ("host", "password"), [("0.0.0.0", "long enough"), ("::", "long enough"), ("10.0.0.1", None), ("10.0.0.1", "short")]
)
def test_a_network_needs_one_address_and_a_password(host: str, password: str | None) -> None:
    with pytest.raises(UsageError, match="host"):
        check_host(host, password)


@pytest.mark.parametrize("name", ["", "  ", "a;b", "a\nb", "a\u202eb", "x" * 61])
def test_a_name_that_tables_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="reviewer"):
        check_reviewer(name)


def _serve(path: Path, port: int) -> None:
    """What the child process does: open the review, and answer until it is killed."""
    bound = socket.create_server(("127.0.0.1", port))
    made = opened_review(path, port=port)
    made.access.sessions["session"] = "ann"
    server_of(made.app).run(sockets=[bound])


def _decided_until_killed(path: Path, port: int, after: float) -> int:
    """Send decisions to a server and kill it at a moment. Returns how many were answered as stored."""
    child = multiprocessing.get_context("fork").Process(target=_serve, args=(path, port))
    child.start()
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
    headers["Cookie"] = f"cytoyolo_review_{port}=session"
    answered, deadline = 0, time.monotonic() + 30
    while True:
        try:
            connection.connect()
            break
        except OSError:
            assert child.is_alive() and time.monotonic() < deadline
            time.sleep(0.02)
    killer = threading.Timer(after, os.kill, (child.pid, signal.SIGKILL))
    try:
        for number in range(100_000):
            body = json.dumps({"kind": "comment", "subject": f"row:{number % 8}", "comment": f"{number}"})
            connection.request("POST", "/api/decide", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            answered += 1
            if answered == 1:
                killer.start()
    except (OSError, HTTPException):
        pass
    child.join(20)
    assert child.exitcode == -signal.SIGKILL
    return answered


@pytest.mark.slow
def test_no_decision_is_lost_when_the_server_is_killed_at_any_moment(tmp_path: Path) -> None:
    path, moments = made_review(tmp_path, 4), random.Random(7)
    stored = 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for _ in range(20):
        answered = _decided_until_killed(path, port, moments.uniform(0.01, 0.25))
        store = Store(path)
        events = len(list(store.events()))
        store.close()
        assert stored + answered <= events <= stored + answered + 1  # an answer may be lost, a decision never
        stored = events
    assert stored > 20


def test_a_second_server_on_one_file_is_refused(tmp_path: Path) -> None:
    path = made_review(tmp_path, 2)

    def second() -> None:
        try:
            with locked(path):
                pass
        except CytoyoloError as error:
            said.append(str(error))

    said = list[str]()
    with locked(path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert said and "another process is at work" in said[0]

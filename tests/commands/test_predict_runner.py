"""`predict` on clusters: the bytes of one machine, also if nodes and drivers are killed, and parts that fail."""

import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest

from cytoyolo import export
from tests import clusters
from tests.clusters import PROGRAM, begin, ended, wait_for

pytestmark = pytest.mark.slow  # processes of a cluster take seconds to start
nodes, ray_nodes, net_nodes = clusters.nodes, clusters.ray_nodes, clusters.net_nodes  # fixtures
CLUSTERS = pytest.mark.parametrize("nodes", ["slurm", "ray"], indirect=True)
IMAGES, SIZE = 160, 40
SLOWLY = ("--imgsz", "640")  # with a checkpoint, some 0.1 s for an image


@pytest.fixture(scope="session")
def weights(small_run, tmp_path_factory):
    return export(small_run / "weights" / "best.pt", output=tmp_path_factory.mktemp("weights") / "best.onnx").output


@pytest.fixture(scope="session")
def images(blobs, tmp_path_factory):
    """Copies of few images in folders, and a file that is no image."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(IMAGES):
        place = folder / f"slide{number % 5}" / f"{number:04d}.jpg"
        place.parent.mkdir(exist_ok=True)
        shutil.copy(blobs / "images" / f"blob{number % 24:02d}.jpg", place)
    (folder / "slide1" / "bad.jpg").write_text("no picture")
    return folder


def start(weights, images, output, *more, **where):
    return begin(PROGRAM, "predict", weights, images, "-o", output, "--conf", "0.001", "--batch", "4", *more, **where)


def on(nodes, size=SIZE):
    return "--runner", nodes.runner, "--runner-options", nodes.options, "--part-size", size


@pytest.fixture(scope="session")
def wanted(weights, images, tmp_path_factory):
    return made_here(weights, images, tmp_path_factory.mktemp("local") / "out")


@pytest.fixture(scope="session")
def checkpoint(small_run):
    return small_run / "weights" / "best.pt"


@pytest.fixture(scope="session")
def wanted_slowly(checkpoint, images, tmp_path_factory):
    return made_here(checkpoint, images, tmp_path_factory.mktemp("slow") / "out", *SLOWLY)


def made_here(weights, images, output, *more):
    """What one machine makes."""
    process = start(weights, images, output, *more)
    said = ended(process)
    assert process.returncode == 1, said  # one image can't be used
    return content(output)


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def searched(output):
    """How many images are done in the parts, and in the journal that joins them."""
    folder = output.with_name(f"{output.name}.partial")
    journals = [folder / "journal.jsonl", *folder.glob("parts/*.jsonl"), *folder.glob("parts/*.partial/journal.jsonl")]
    return sum(max(path.read_bytes().count(b"\n") - 1, 0) for path in journals if path.is_file())


def same(process, output, wanted):
    said = ended(process)
    assert process.returncode == 1, said
    made = content(output)
    assert sorted(made) == sorted(wanted), said
    assert [name for name in made if made[name] != wanted[name]] == []
    assert not output.with_name(f"{output.name}.partial").exists()


@CLUSTERS
def test_parts_have_the_bytes_of_one_machine(nodes, weights, images, wanted, tmp_path):
    same(start(weights, images, tmp_path / "out", *on(nodes)), tmp_path / "out", wanted)


def test_machines_with_addresses_of_their_own(net_nodes, weights, images, wanted, tmp_path):
    output = tmp_path / "out"
    same(start(weights, images, output, *on(net_nodes), space=net_nodes.head), output, wanted)


def test_a_machine_that_loses_its_network(net_nodes, weights, images, wanted, tmp_path):
    output = tmp_path / "out"
    process = start(weights, images, output, *on(net_nodes), space=net_nodes.head)
    wait_for(lambda: searched(output) or process.poll() is not None)
    net_nodes.cut(2)
    same(process, output, wanted)


def test_workers_whose_clocks_are_wrong(weights, images, wanted, tmp_path):
    python, local = tmp_path / "python", clusters.LocalNodes()
    python.write_text(f'#!/bin/sh\nSOURCE_DATE_EPOCH=0 exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    local.options += f",python={python}"
    same(start(weights, images, tmp_path / "out", *on(local)), tmp_path / "out", wanted)


@CLUSTERS
@pytest.mark.parametrize("seed", range(10))
def test_a_node_killed_during_a_prediction(nodes, weights, images, wanted, tmp_path, seed):
    output, chance = tmp_path / "out", random.Random(seed)
    after = chance.randint(1, IMAGES * 3 // 4)
    process = start(weights, images, output, *on(nodes))
    wait_for(lambda: searched(output) >= after or process.poll() is not None)
    folder = output.with_name("out.partial")
    wait_for(lambda: process.poll() is not None or nodes.kill(folder, chance))
    same(process, output, wanted)


@CLUSTERS
@pytest.mark.parametrize("seed", range(3))
def test_a_driver_killed_during_a_prediction(nodes, weights, images, wanted, tmp_path, seed):
    output, after = tmp_path / "out", random.Random(seed).randint(1, IMAGES // 2)
    process = start(weights, images, output, *on(nodes))
    wait_for(lambda: searched(output) >= after or process.poll() is not None)
    process.kill()
    ended(process)
    same(start(weights, images, output, *on(nodes)), output, wanted)


@CLUSTERS
def test_parts_that_were_left_running_do_not_get_into_another_prediction(
    nodes, weights, checkpoint, images, wanted, tmp_path
):
    output = tmp_path / "out"
    left_running(checkpoint, images, output, nodes, *SLOWLY)
    wait_for(lambda: searched(output))
    same(start(weights, images, output, *on(nodes), "--overwrite"), output, wanted)


@pytest.mark.parametrize("nodes", ["slurm"], indirect=True)
def test_a_part_of_another_call_is_refused(nodes, weights, images, tmp_path):
    output = tmp_path / "out"
    left_running(weights, images, output, nodes)
    path = output.with_name("out.partial") / "parts" / "000001.jsonl"
    wait_for(path.is_file)
    how, *lines = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps({**json.loads(how), "wanted": "something else"}) + "\n" + "".join(lines))
    process = start(weights, images, output, *on(nodes))
    assert "000001.jsonl is of another call; delete this file, and call again" in ended(process)
    assert process.returncode == 1


def left_running(weights, images, output, nodes, *more):
    """Submit the parts, and leave them. Jobs may hold a pipe of the call open, so it prints into a file."""
    told = output.with_name("told.txt")
    call = [
        PROGRAM,
        "predict",
        weights,
        images,
        "-o",
        output,
        "--conf",
        "0.001",
        "--batch",
        "4",
        *on(nodes),
        "--detach",
    ]
    with told.open("w") as file:
        done = subprocess.run(
            [sys.executable, *map(str, [*call, *more])], stdout=file, stderr=file, start_new_session=True, check=False
        )
    said = told.read_text()
    assert done.returncode == 0 and "jobs that go on without this program: " in said, said


@CLUSTERS
def test_parts_that_were_left_running_are_joined_by_the_same_call(nodes, weights, images, wanted, tmp_path):
    output = tmp_path / "out"
    left_running(weights, images, output, nodes)
    parts = output.with_name("out.partial") / "parts"
    wait_for(lambda: list(parts.glob("*.jsonl")))
    done = {path: path.stat().st_mtime_ns for path in parts.glob("*.jsonl")}
    process = start(weights, images, output, *on(nodes))
    wait_for(lambda: searched(output) >= IMAGES or process.poll() is not None)
    assert all(path.stat().st_mtime_ns == time for path, time in done.items() if path.exists())
    same(process, output, wanted)


@CLUSTERS
def test_parts_that_were_left_running_can_be_ended(nodes, checkpoint, images, wanted_slowly, tmp_path):
    output = tmp_path / "out"
    alone = ("--part-size", IMAGES)  # a part that takes longer than the calls that look at it
    left_running(checkpoint, images, output, nodes, *SLOWLY, *alone)
    wait_for(lambda: searched(output))
    jobs = json.loads((output.with_name("out.partial") / "jobs" / "jobs.json").read_text())["jobs"].values()
    submitted = [job["id"] for job in jobs if job["id"]]
    shown = begin(PROGRAM, "jobs", output, "--json")
    assert "running" in {job["state"] for job in json.loads(ended(shown))["jobs"]}
    ender = begin(PROGRAM, "jobs", output, "--stop")
    said = ended(ender)
    assert ender.returncode == 0 and "Jobs that were ended: " in said, said
    if nodes.runner == "slurm":
        assert not any(map(nodes.lives, submitted))
    time.sleep(1)
    before = searched(output)
    time.sleep(2)
    assert searched(output) == before < IMAGES
    same(start(checkpoint, images, output, *on(nodes), *SLOWLY, *alone), output, wanted_slowly)


@pytest.mark.parametrize("nodes", ["slurm"], indirect=True)
def test_a_part_that_fails_is_listed_and_done_by_the_next_call(nodes, weights, images, wanted, tmp_path):
    output, size = tmp_path / "out", 40
    folder = tmp_path / "out.partial"
    process = start(weights, images, output, *on(nodes, size))
    wait_for(lambda: (folder / "jobs" / "jobs.json").exists() or process.poll() is not None)
    stone = folder / "parts" / "000001.partial" / "users own.txt"
    stone.parent.mkdir(parents=True, exist_ok=True)
    stone.write_text("in the way")
    said = ended(process)
    assert process.returncode == 1 and "parts that failed: 1 of 5 (part 1 " in said and "move it elsewhere" in said
    jobs = json.loads((folder / "jobs" / "jobs.json").read_text())["jobs"]
    assert {name: job["failures"] for name, job in jobs.items()} == {f"part {n}": 3 * (n == 1) for n in range(5)}
    refused = start(weights, images, output, *on(nodes, 20))
    assert "part size" in ended(refused) and refused.returncode == 2
    (images / "slide0" / "new.jpg").write_bytes((images / "slide0" / "0000.jpg").read_bytes())
    refused = start(weights, images, output, *on(nodes, size))
    said = ended(refused)
    (images / "slide0" / "new.jpg").unlink()
    assert "images differ" in said and refused.returncode == 2
    last = images / "slide4" / "0004.jpg"  # of a part that is done, and waits for part 1
    times = last.stat().st_atime_ns, last.stat().st_mtime_ns
    last.touch()
    refused = start(weights, images, output, *on(nodes, size))
    said = ended(refused)
    os.utime(last, ns=times)
    assert "is of slide4/0004.jpg, which has changed since" in said and refused.returncode == 2
    shutil.rmtree(stone.parent)
    same(start(weights, images, output, *on(nodes, size)), output, wanted)

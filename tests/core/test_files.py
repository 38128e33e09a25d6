"""Folders that are whole or as they were: under real kills, beside real concurrent writers, and on a full disk."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import perturb
from perturb.core import files
from perturb.core.files import check_directory, write_file, write_folder
from tests.disks import disk  # noqa: F401 — a fixture

ROOT = Path(perturb.__file__).parents[1]
NAMES = [f"{index}.bin" for index in range(6)]

WRITERS = """
import os, sys
from pathlib import Path
from perturb.core.files import write_folder

for line in sys.stdin:
    times, where = line.split(maxsplit=1)
    child = os.fork()
    if child == 0:
        try:
            for made in range(int(times)):
                text = f"{os.getpid()} {made}".encode()
                write_folder(Path(where.strip()), lambda: {f"{i}.bin": text * 2000 for i in range(6)})
        finally:
            os._exit(0)
    print(child, flush=True)
"""
"""Forks a process for each line, which writes a folder so many times; only the first process pays for its imports."""


@pytest.fixture(scope="module")
def writers():
    process = subprocess.Popen(
        [sys.executable, "-c", WRITERS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )

    def start(times, where):
        process.stdin.write(f"{times} {where}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield start
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()


def ended(pid, seconds=60):
    """Wait until a process that is no child of this one is dead, if not yet reaped."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.001)
    raise AssertionError("it still runs")


def is_whole(folder):
    data = {(folder / name).read_bytes() for name in NAMES}
    return len(data) == 1 and sorted(os.listdir(folder)) == NAMES


def whole(text):
    return {name: text.encode() for name in NAMES}


def test_a_kill_at_any_moment_leaves_a_whole_folder_and_the_next_save_no_leftovers(writers, tmp_path):
    out = tmp_path / "deep" / "out"
    write_folder(out, lambda: whole("first"))
    draw, seen = random.Random(0), set()
    for _ in range(40):
        pid = writers(10**9, out)
        time.sleep(draw.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        assert is_whole(out)
        seen.add((out / NAMES[0]).read_bytes())
    assert len(seen) > 15, "the kills fell on processes that were writing"
    write_folder(out, lambda: whole("last"))
    assert (out / NAMES[0]).read_bytes() == b"last"
    assert os.listdir(out.parent) == ["out"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs an exchange in one step")
def test_there_is_always_a_folder_and_writers_leave_each_other_alone(writers, tmp_path):
    out = tmp_path / "out"
    write_folder(out, lambda: whole("first"))
    missing, stop = [], threading.Event()

    def watch():
        while not stop.is_set():
            if not os.path.isdir(out):
                missing.append(time.monotonic())

    watcher = threading.Thread(target=watch)
    watcher.start()
    pids = [writers(80, out) for _ in range(3)]
    for pid in pids:
        ended(pid)
    stop.set()
    watcher.join()
    assert not missing
    assert is_whole(out)
    # The last round of one of them, so that none of them failed on the way.
    assert (out / NAMES[0]).read_bytes()[:20].split()[1].startswith(b"79")
    assert os.listdir(tmp_path) == ["out"]


def test_where_nothing_can_be_exchanged_the_folder_is_replaced_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "exchange", lambda one, other: False)
    out = tmp_path / "out"
    for text in ("first", "second"):
        write_folder(out, lambda text=text: whole(text))
        assert is_whole(out)
        assert (out / NAMES[0]).read_bytes() == text.encode()
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("system", ["win32", "no renameat2", "no locks"])
def test_a_system_without_an_exchange_or_locks_has_whole_folders_too(system, tmp_path, monkeypatch):
    if system == "win32":
        monkeypatch.setattr(files, "sys", SimpleNamespace(platform=system))
    elif system == "no renameat2":
        monkeypatch.setattr(files, "ctypes", SimpleNamespace(CDLL=lambda name: object()))
    else:  # as some network file systems answer

        def flock(*_):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(files, "fcntl", SimpleNamespace(flock=flock, LOCK_EX=0))
    out = tmp_path / "out"
    left = tmp_path / ".out-abcdefgh"
    (left / "new").mkdir(parents=True)
    for text in ("first", "second"):
        write_folder(out, lambda text=text: whole(text))
        assert is_whole(out)
        assert (out / NAMES[0]).read_bytes() == text.encode()
    # Without a lock the folder could be another process's, at work in this moment.
    assert left.exists() == (system != "no renameat2")
    assert system == "no locks" or not files.exchange(out, out)
    assert is_whole(out)


def test_a_folder_whose_successor_cannot_take_its_place_gets_it_back(tmp_path):
    out = write_folder(tmp_path / "out", lambda: whole("first"))
    with pytest.raises(OSError, match="No such file"):
        files._replace(tmp_path / "gone", out, tmp_path / "old")
    assert is_whole(out)
    with pytest.raises(OSError, match="No such file"):
        files._replace(tmp_path / "gone", tmp_path / "nothing", tmp_path / "old")
    assert os.listdir(tmp_path) == ["out"]


def test_results_go_where_nothing_would_be_lost(tmp_path):
    def check(path):
        return check_directory(path, "result.json", NAMES.__contains__)

    (tmp_path / "file").write_text("mine")
    with pytest.raises(perturb.ExportError, match="is a file; expected a folder to write to"):
        check(tmp_path / "file")
    out = tmp_path / "out"
    assert check(out) == out, "a new one"
    out.mkdir()
    assert check(out) == out, "an empty one"
    (out / "0.bin").write_text("mine")
    with pytest.raises(perturb.ExportError, match=r"holds other files \(0.bin\), which would be lost"):
        check(out)
    (out / "result.json").write_text("{}")
    with pytest.raises(perturb.ExportError, match=r"holds other files \(result.json\)"):
        check(out)
    assert check_directory(out, "result.json", [*NAMES, "result.json"].__contains__) == out
    (out / "notes.txt").write_text("mine")
    with pytest.raises(perturb.ExportError, match=r"holds other files \(notes.txt\)"):
        check_directory(out, "result.json", [*NAMES, "result.json"].__contains__)


def test_a_folder_that_a_kill_hid_between_two_renames_comes_back(tmp_path):
    hidden = tmp_path / ".out-abcd_123"
    for part in ("old", "new"):
        (hidden / part).mkdir(parents=True)
        (hidden / part / "0.bin").write_bytes(part.encode())
    out = tmp_path / "out"
    full = {"0.bin": b"x", "no/such/folder": b"y"}
    with pytest.raises(perturb.ExportError, match="cannot be written"):
        write_folder(out, lambda: full)  # fails after the sweep
    assert (out / "0.bin").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


def test_only_our_own_leftovers_are_removed(tmp_path):
    (tmp_path / ".out-abcdefgh" / "new").mkdir(parents=True)
    (tmp_path / ".out-bcdefghi").mkdir()
    kept = (".out-settings", ".out-cdefghij", ".out-short", ".outer-abcdefgh", ".out-a.cdefgh")
    for name in kept:
        (tmp_path / name / ("mine" if name == ".out-cdefghij" else "new")).mkdir(parents=True)
    (tmp_path / ".out-settings" / "notes.txt").write_text("mine")
    (tmp_path / ".out-defghijk").symlink_to(tmp_path / ".out-short")
    (tmp_path / ".out-efghijkl").write_text("mine")
    write_folder(tmp_path / "out", lambda: whole("a"))
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, ".out-defghijk", ".out-efghijkl", "out"])


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    write_folder(tmp_path / "real", lambda: whole("first"))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_folder(tmp_path / "link", lambda: whole("second"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / NAMES[0]).read_bytes() == b"second"
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


def test_a_full_disk_is_a_sentence_and_the_folder_stays_as_it_was(disk):  # noqa: F811
    out = write_folder(disk.path / "out", lambda: whole("first"))
    disk.leave(5)
    with pytest.raises(perturb.ExportError, match=rf"cannot be written to '.*out': {disk.reason}"):
        write_folder(out, lambda: {"0.bin": b"x" * 100_000})
    assert is_whole(out)
    with pytest.raises(OSError, match=disk.reason):
        write_file(out / "0.bin", b"x" * 100_000)
    assert is_whole(out), "nothing is left of a file either"
    disk.free()
    assert os.listdir(disk.path) == ["out"]

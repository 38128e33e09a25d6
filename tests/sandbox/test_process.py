"""Confined processes: what comes back, every limit, every way out, forged answers, and that none is left behind."""

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from perturb.core.errors import ImageError, LabelError
from perturb.sandbox.connection import DTYPES, ROOM
from perturb.sandbox.process import WAITING, Confined, Limits, StoppedError

SMALL = Limits(memory=300_000_000, seconds=2.0, cpu_seconds=600, idle=60.0)


@pytest.fixture
def process():
    made = Confined("tests.sandbox.tasks", SMALL)
    yield made
    made.close()


def alive(pid):
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone_within(pid, seconds):
    ends = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < ends:
        time.sleep(0.02)
    return not alive(pid)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_arrays_come_back_unchanged(process, dtype):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 2, shape).astype(dtype) for shape in [(3, 5, 7), (), (0, 4), (1000,)]]
    value = {"words": "ä\n", "numbers": [1, 2.5, None, True]}
    back, made = process.call("echo", [value], arrays)
    assert back == value
    for given, got in zip(arrays, made, strict=True):
        assert got.dtype == given.dtype
        assert_array_equal(got, given)
        assert not got.flags.writeable


def test_many_calls_share_one_process_and_its_memory_is_given_back(process):
    large = np.full(100_000_000, 7, dtype=np.uint8)
    assert process.call("echo", [0], [large])[1][0].min() == 7
    pid = process.pid
    held = shared_memory(os.getpid())
    assert held > 150_000_000, "the array lies in shared memory, once for each direction"
    assert process.call("echo", [1], [np.ones(3)])[0] == 1
    assert process.pid == pid
    ends = time.monotonic() + 10
    while shared_memory(os.getpid()) > held - 120_000_000 and time.monotonic() < ends:
        time.sleep(0.1)
    assert shared_memory(os.getpid()) <= held - 120_000_000
    assert process.call("echo", [2], [large])[1][0].min() == 7, "and used again"


def shared_memory(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssShmem"))


@pytest.mark.parametrize(
    ("task", "arguments", "words"),
    [
        ("allocate", [60], "it needs more than 0.3 GB of memory"),
        ("sleep", [30], "it took longer than 2 s for one call"),
        ("spin", [], "it took longer than 2 s for one call"),
        ("crash", [0], r"it crashed its process \(SIGSEGV\)"),
        ("abort", [], r"it crashed its process \(SIGABRT\), perhaps because it needs more than 0.3 GB of memory"),
        ("fail", [], r"it failed \(broken code\)"),
    ],
)
def test_a_process_that_crosses_a_limit_or_crashes_is_stopped_in_words_and_the_next_call_works(
    process, task, arguments, words
):
    process.call("echo", [0])
    pid = process.pid
    began = time.monotonic()
    with pytest.raises(StoppedError, match=words):
        process.call(task, arguments)
    assert time.monotonic() - began < 10
    assert gone_within(pid, 1)
    assert process.pid is None
    assert process.call("echo", [5]) == (5, [])


def test_a_process_that_takes_too_much_processor_time_in_all_is_stopped():
    process = Confined("tests.sandbox.tasks", Limits(memory=300_000_000, seconds=30.0, cpu_seconds=2))
    with pytest.raises(StoppedError, match="it took more than 2 s of CPU time"):
        process.call("spin")


def test_what_fits_the_memory_limit_is_allocated(process):
    assert process.call("allocate", [20])[0] == 20


def test_an_error_in_words_comes_back_as_it_is_and_the_process_lives(process):
    with pytest.raises(ImageError, match="^no image$") as raised:
        process.call("refuse", [[]])
    assert type(raised.value) is ImageError
    pid = process.pid
    with pytest.raises(LabelError, match="^no classes$") as raised:
        process.call("refuse", [[3, 4]])
    assert (raised.value.values, raised.value.share) == ((3, 4), 0.5)
    assert process.pid == pid


def test_there_is_no_way_out_of_a_process(process):
    assert process.call("escape")[0] == []
    assert not Path("/tmp/perturb-escaped").exists()


def test_the_kernel_refuses_it_where_it_can(process):
    """Limits of resources alone would still let a process fork and start programs."""
    pytest.importorskip("pyseccomp", exc_type=RuntimeError)
    process.call("echo", [0])
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        assert "Seccomp:\t2" in (thread / "status").read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="only root has rights to give up")
def test_nothing_of_root_is_left(process):
    process.call("echo", [0])
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    assert set(lines["Uid"].split()) == {"65534"}
    assert int(lines["CapEff"], 16) == 0


def test_secrets_of_the_server_do_not_reach_a_process(process, monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    assert "DATABASE_PASSWORD" not in process.call("environment")[0]


@pytest.mark.parametrize(
    "kind",
    [
        "no JSON", "deep", "array elsewhere", "negative array", "object array", "array of an array", "no answer",
        "unknown error", "wrong values", "endless",
    ],
)  # fmt: skip
def test_a_forged_answer_is_never_believed(process, kind):
    with pytest.raises(StoppedError, match=r"it gave an answer that is none|it failed"):
        process.call("forge", [kind])
    assert process.call("echo", [5]) == (5, [])


def test_closing_ends_a_call_that_is_under_way(process):
    process.call("echo", [0])
    pid = process.pid
    threading.Timer(0.3, process.close).start()
    began = time.monotonic()
    with pytest.raises(StoppedError, match="its visit ended"):
        process.call("sleep", [30])
    assert time.monotonic() - began < 1.5
    assert gone_within(pid, 1)


def test_whoever_waits_can_leave_at_any_time(process):
    class Leaves(BaseException):
        pass

    def leave():
        raise Leaves

    process.call("echo", [0])
    pid = process.pid
    token = WAITING.set(leave)
    try:
        with pytest.raises(Leaves):
            process.call("sleep", [30])
    finally:
        WAITING.reset(token)
    assert gone_within(pid, 1)
    assert process.call("echo", [5]) == (5, [])


def test_an_idle_process_ends_and_starts_again():
    process = Confined("tests.sandbox.tasks", Limits(memory=300_000_000, seconds=2.0, idle=0.2))
    process.call("echo", [0])
    assert gone_within(process.pid, 5)
    assert process.call("echo", [5]) == (5, [])
    process.close()


def test_a_forgotten_process_ends():
    other = Confined("tests.sandbox.tasks", SMALL)
    other.call("echo", [0])
    pid = other.pid
    del other
    gc.collect()
    assert gone_within(pid, 3)


def test_processes_end_with_a_server_that_is_killed():
    code = (
        "from perturb.sandbox.process import Confined, Limits\n"
        "process = Confined('tests.sandbox.tasks', Limits(memory=300_000_000, seconds=100.0))\n"
        "process.call('echo', [0])\n"
        "print(process.pid, flush=True)\n"
        "process.call('sleep', [60])\n"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(server.stdout.readline())
    time.sleep(0.3)
    assert alive(pid)
    server.kill()
    server.wait()
    server.stdout.close()
    assert gone_within(pid, 3), "in the middle of a call"


def test_arrays_that_are_too_large_are_refused_in_words(process):
    with pytest.raises(StoppedError, match=r"it was given .* MB of values, at most 537"):
        process.call("echo", [0], [np.broadcast_to(np.uint8(1), (ROOM + 1,))])

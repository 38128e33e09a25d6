"""The queue of runs, with plain threads: who is served when, and that a place is always freed."""

import threading
import time
from collections.abc import Callable

import pytest

from pages.parts.runs.turns import Place, Turn, Turns
from perturb.core import stopwatch

SLICE = 0.05


class LeftError(BaseException):
    """A visitor left; like Streamlit's own, no `Exception`."""


class Office:
    """Runs of several visitors, and the order in which they computed."""

    def __init__(self, slice_seconds: float = SLICE) -> None:
        self.turns = Turns(slice_seconds)
        self.log: list[str] = []
        self.ended: list[str] = []
        self.most, self._inside, self._lock = 0, 0, threading.Lock()
        self._threads: list[threading.Thread] = []

    def send(
        self,
        visitor: str,
        name: str,
        batches: int,
        *,
        batch: float = 0.02,
        expected: float | None = None,
        waiting: Callable[[Place], None] = lambda _: None,
        between: Callable[[Turn], None] = lambda _: None,
    ) -> threading.Thread:
        """Start a run, and return once it queues or computes."""
        before = len(self.turns._all())

        def work() -> None:
            try:
                with self.turns.take(visitor, expected or batches * batch, waiting) as turn:
                    for index in range(batches):
                        with self._lock:
                            self._inside += 1
                            self.most = max(self.most, self._inside)
                        if not self.log or self.log[-1] != name:
                            self.log.append(name)
                        time.sleep(batch)
                        with self._lock:
                            self._inside -= 1
                        turn.left = (expected or batches * batch) * (1 - (index + 1) / batches)
                        between(turn)
                        if index < batches - 1:
                            turn.hand_over()
                    self.ended.append(name)
            except (LeftError, ZeroDivisionError):
                self.ended.append(f"{name} left")

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while len(self.turns._all()) == before and thread.is_alive():
            time.sleep(0.001)
        self._threads.append(thread)
        return thread

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive(), f"a run waits for ever; served so far: {self.log}"
        assert self.turns._serving is None
        assert not self.turns._waiting


def test_short_runs_get_through_beside_a_long_one_and_visitors_are_served_in_rotation():
    office = Office()
    office.send("anna", "long", 40)
    for index in range(4):
        office.send("ben", f"b{index}", 2)
    for index in range(4):
        office.send("cleo", f"c{index}", 2)
    office.wait()
    assert office.most == 1, "one run computes at a time"
    # Each is first come, first served, and after each slice of the long run one short run of each visitor.
    expected = [f"b{i} c{i} long".split() for i in range(4)]
    assert office.log == ["long", *(name for round in expected for name in round)]
    assert office.ended[-1] == "long"


def test_the_runs_of_one_visitor_do_not_overtake_each_other():
    office = Office()
    office.send("anna", "first", 12)
    office.send("anna", "second", 1)
    office.send("ben", "other", 1)
    office.wait()
    assert office.log == ["first", "other", "first", "second"]


def test_two_long_runs_share_the_machine_equally():
    office = Office()
    seconds: dict[str, list[float]] = {"a": [], "b": []}
    office.send("anna", "a", 30, between=lambda turn: seconds["a"].append(turn.used))
    office.send("ben", "b", 30, between=lambda turn: seconds["b"].append(turn.used))
    office.wait()
    assert len(office.log) > 10, "they alternate"
    assert set(office.log[::2]) == {"a"}
    assert set(office.log[1::2]) == {"b"}
    assert seconds["a"][-1] == pytest.approx(seconds["b"][-1], rel=0.5)
    assert seconds["a"][-1] < 2 * 30 * 0.02, "only the time of its own turns counts"


def test_nobody_is_handed_to_while_alone_and_slices_are_not_shorter_than_asked():
    office = Office(slice_seconds=10)
    office.send("anna", "long", 10)
    office.send("ben", "short", 1)
    office.wait()
    assert office.log == ["long", "short"]


def leave(_: Place) -> None:
    raise LeftError


def test_a_visitor_who_leaves_while_waiting_frees_the_place():
    office = Office(slice_seconds=10)
    office.send("anna", "long", 40)
    office.send("ben", "gone", 1, waiting=leave)
    office.send("cleo", "short", 1)
    office.wait()
    assert office.log == ["long", "short"]
    assert office.ended == ["gone left", "long", "short"]


def test_a_visitor_who_leaves_in_the_middle_of_a_run_frees_the_place():
    office = Office(slice_seconds=0.01)
    seen: list[Place] = []

    def leave_later(place: Place) -> None:
        seen.append(place)
        raise LeftError

    # It hands over after its first batch, and leaves while the other computes.
    office.send("anna", "gone", 100, waiting=leave_later)
    office.send("ben", "long", 1, batch=0.6)
    office.wait()
    assert seen
    assert office.ended == ["gone left", "long"]


@pytest.mark.parametrize("error", [LeftError, ZeroDivisionError])
def test_an_exception_in_a_run_frees_the_place_at_once(error):
    def fail(_: Turn) -> None:
        raise error

    office = Office()
    office.send("anna", "failing", 100, between=fail)
    began = time.monotonic()
    office.send("ben", "short", 1)
    office.wait()
    assert time.monotonic() - began < 1
    assert office.ended == ["failing left", "short"]


def test_served_in_the_moment_of_leaving_the_place_goes_to_the_next():
    """Between being served and noticing it, a run's callback may raise."""
    turns = Turns(SLICE)
    order = []
    with turns.take("anna", 1, leave) as turn:
        done = threading.Event()

        def gone() -> None:
            def late(_: Place) -> None:
                done.set()
                time.sleep(0.3)  # served meanwhile
                raise LeftError

            with pytest.raises(LeftError), turns.take("ben", 1, late):
                order.append("never")

        def last() -> None:
            with turns.take("cleo", 1, lambda _: None):
                order.append("cleo")

        threads = [threading.Thread(target=gone), threading.Thread(target=last)]
        for thread in threads:
            thread.start()
        done.wait(5)
        assert turn.used > 0
    for thread in threads:
        thread.join(5)
    assert order == ["cleo"]
    assert turns._serving is None


def test_random_visitors_leave_nothing_behind():
    """Many visitors who come, leave and fail in any order: every run ends, one at a time."""
    import random

    chance = random.Random(3)
    office = Office(slice_seconds=0.004)
    for index in range(60):
        raises = chance.random() < 0.3

        def between(_: Turn, raises: bool = raises) -> None:
            if raises and random.random() < 0.3:
                raise LeftError

        office.send(
            f"visitor {chance.randrange(7)}",
            f"run {index}",
            chance.randrange(1, 6),
            batch=0.002,
            waiting=leave if chance.random() < 0.2 else (lambda _: None),
            between=between,
        )
    office.wait()
    assert office.most == 1
    assert len(office.ended) == 60


def test_the_place_and_the_wait_are_those_that_follow():
    office = Office(slice_seconds=0.5)
    places: dict[str, Place] = {}
    office.send("anna", "long", 60, batch=0.05)
    for name in ("ben", "cleo", "dan"):
        office.send(name, name, 8, batch=0.05, waiting=lambda place, name=name: places.setdefault(name, place))
    began, first = time.monotonic(), {}
    while len(first) < 3:
        for name in ("ben", "cleo", "dan"):
            if name in office.log:
                first.setdefault(name, time.monotonic() - began)
        time.sleep(0.005)
    office.wait()
    assert [places[name].number for name in ("ben", "cleo", "dan")] == [1, 2, 3]
    for name in first:  # each was asked after 0.25 s
        assert places[name].wait + 0.25 == pytest.approx(first[name], abs=0.25)


def test_the_expected_end_counts_what_others_get_meanwhile():
    turns = Turns(1.0)
    release = threading.Event()

    def hold(visitor: str, seconds: float) -> None:
        with turns.take(visitor, seconds, lambda _: None):
            release.wait(5)

    threads = []
    for visitor, seconds in (("anna", 100.0), ("ben", 5.0), ("cleo", 30.0), ("ben", 7.0)):
        threads.append(threading.Thread(target=hold, args=(visitor, seconds)))
        threads[-1].start()
        while len(turns._all()) < len(threads):
            time.sleep(0.001)
    anna, *others = turns._all()
    ends = {turn.left: turns.ends_in(turn) for turn in others}
    assert turns.ends_in(anna) == 100 + 12 + 30
    assert ends == {5.0: 15.0, 7.0: 36.0, 30.0: 72.0}
    assert turns.work_of("ben") == 12
    assert turns.work_of_others("anna") == {"ben": 12, "cleo": 30}
    release.set()
    for thread in threads:
        thread.join(5)


def test_the_clock_of_a_run_stands_still_while_others_compute():
    office = Office()
    clocks: list[float] = []
    office.send("anna", "long", 20, between=lambda _: clocks.append(stopwatch.now()))
    office.send("ben", "other", 1, batch=1.0)
    office.wait()
    assert clocks[-1] - clocks[0] < 0.9, "19 batches of 20 ms, and not the second of the other"


def test_only_so_many_runs_have_begun_and_a_short_one_beside_them():
    office = Office()
    office.turns = Turns(SLICE, most=2)
    begun: list[int] = []

    def count(_: Turn) -> None:
        begun.append(sum(turn.begun for turn in office.turns._all()))

    for name in ("a", "b", "c"):
        # 0.02 s a batch in fact; what is announced decides.
        office.send(name, name, 20, expected=100.0, between=count)
    office.send("d", "short", 2, between=count)
    office.wait()
    assert office.ended[0] == "short"
    assert office.log.index("short") < 6
    assert max(begun) == 3, "two, and the short one"
    assert office.log.index("c") > max(office.log.index("a"), office.log.index("short"))
    assert min(office.ended.index("a"), office.ended.index("b")) < office.ended.index("c")
    last = len(office.log) - 1 - office.log[::-1].index(next(n for n in office.ended if n in "ab"))
    assert office.log.index("c") > last, "it begins when one of the two has ended"


def test_a_run_that_may_not_begin_is_told_when_another_ends():
    turns = Turns(1.0, most=1)
    release = threading.Event()
    places: list[Place] = []

    def wait(place: Place) -> None:
        places.append(place)
        release.set()

    def hold(visitor: str, seconds: float) -> None:
        with turns.take(visitor, seconds, wait):
            release.wait(5)

    threads = [threading.Thread(target=hold, args=given) for given in (("anna", 100.0), ("ben", 40.0))]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join(5)
    assert places[0].number == 1
    assert places[0].wait >= 100


def test_a_queue_for_one_run_at_a_time_comes_to_an_end():
    office = Office()
    office.turns = Turns(0.001, most=1)
    for index in range(12):
        office.send(f"visitor {index % 4}", f"run {index}", 3, expected=100.0, batch=0.005)
    office.wait()
    assert sorted(office.ended) == sorted(f"run {index}" for index in range(12))

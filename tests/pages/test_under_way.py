"""Visitors who ask for the same run at the same time: it is computed once, and shown to all of them."""

import threading
import time
from collections import Counter

import pytest

from pages.parts.runs.under_way import UnderWay


def test_only_one_is_inside_with_a_key_and_whoever_leaves_lets_the_next_in():
    under_way, inside, most, done = UnderWay(), Counter(), Counter(), []

    def enter(name, key):
        with under_way.alone(key, lambda: None):
            inside[key] += 1
            most[key] = max(most[key], inside[key])
            time.sleep(0.1)
            inside[key] -= 1
        done.append(name)

    keys = ["a", "a", "a", "b", "", ""]
    threads = [threading.Thread(target=enter, args=pair) for pair in enumerate(keys)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(done) == list(range(6))
    assert most == {"a": 1, "b": 1, "": 2}


def test_a_failure_and_a_visitor_who_leaves_free_the_key():
    under_way = UnderWay()
    with pytest.raises(RuntimeError), under_way.alone("a", lambda: None):
        raise RuntimeError
    with under_way.alone("a", lambda: pytest.fail("nobody is inside")):

        def leave():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), under_way.alone("a", leave):
            pass
    with under_way.alone("a", lambda: pytest.fail("nobody is inside")):
        pass

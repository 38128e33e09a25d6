"""Readings as columns, and the sentence about how they were made."""

import numpy as np
from numpy.testing import assert_array_equal

from perturb.targets.readings import COLUMNS, WHOLE_PASSES, Execution, Readings


def numbered(first, count):
    """Readings whose every entry is another number."""
    columns = {name: 100.0 * index + first + np.arange(count) for index, name in enumerate(COLUMNS)}
    return Readings(**columns)


def test_batches_are_joined_and_cut_column_by_column():
    joined = Readings.concatenate([numbered(0, 3), numbered(3, 2)])
    assert len(joined) == 5
    for index, name in enumerate(COLUMNS):
        assert_array_equal(getattr(joined, name), 100 * index + np.arange(5))
        assert_array_equal(getattr(joined[1:3], name), 100 * index + np.array([1, 2]))
        assert_array_equal(getattr(joined[np.array([4, 0])], name), 100 * index + np.array([4, 0]))


def test_no_readings_join_to_any():
    none = Readings.none()
    assert len(none) == 0
    for name in COLUMNS:
        assert getattr(none, name).shape == (0,)
        assert getattr(none, name).dtype == (np.float64 if name in ("score", "iou") else np.int64)
    assert_array_equal(Readings.concatenate([none, numbered(0, 2)]).hidden, numbered(0, 2).hidden)


def test_execution_is_a_sentence_and_plain_data():
    assert WHOLE_PASSES.sentence == "Whole passes of the network were run."
    assert Execution("whole", "the network has a loop").sentence == (
        "Whole passes of the network were run, because the network has a loop."
    )
    assert Execution("incremental").sentence == ("Incremental passes: only what each perturbation can change was run.")
    assert Execution("downstream").sentence == "Only the sub-network downstream of the layer was run."
    assert Execution("whole", "why", stale=True).as_dict() == {"passes": "whole", "reason": "why"}

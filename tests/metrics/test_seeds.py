"""Seeds: spread by hand, failures known from the literature, and means matched event by event."""

from __future__ import annotations

import numpy as np
import pytest

from pcloud.metrics.seeds import ensemble, failed, spread


def test_spread_by_hand() -> None:
    # quantiles .16 and .84 of 0..4 are at .64 and 3.36
    assert spread([3, 0, 4, 1, 2]) == (2, pytest.approx((3.36 - 0.64) / 2))
    middle, half = spread([7.0])
    assert middle == 7 and np.isnan(half)
    middle, half = spread([1, 2, np.inf])
    assert middle == 2 and np.isnan(half)
    with pytest.raises(ValueError, match="none of them nan"):
        spread([1, np.nan])


@pytest.mark.parametrize(
    ("aucs", "lost"),
    [
        ([0.9811, 0.9810, 0.9812, 0.019, 0.9809], [3]),  # a flipped seed of the 2019 comparison
        ([0.9789, 0.9791, 0.915, 0.9788, 0.9790], [2]),  # and one that learned half
        ([0.98, 0.981, 0.979], []),
        ([0.98, 0.98, 0.98, 0.9801], []),  # no spread at all is no reason to drop the fourth
        ([0.98, 0.98, 0.98, 0.99], []),  # better is not failed
        ([0.98, 0.90], []),  # two cannot say which of them is wrong
        ([0.98, np.nan, 0.4], [1, 2]),
        ([0.5, 0.49], [1]),
        ([], []),
    ],
)
def test_failed_seeds(aucs: list[float], lost: list[int]) -> None:
    found = failed(aucs)
    assert list(found) == lost
    assert all("AUC" in reason for reason in found.values())


def test_two_failures_do_not_hide_each_other() -> None:
    assert list(failed([0.98, 0.915, 0.981, 0.979, 0.93, 0.9805, 0.9795])) == [1, 4]


def rows(p: list[float], event_id: list[int]) -> dict[str, np.ndarray]:
    ids = np.array(event_id)
    return {"event_id": ids, "label": ids % 2, "weight": ids / 2, "p_a": np.array(p), "p_b": 1 - np.array(p)}


def test_ensemble_is_the_mean_by_event() -> None:
    mean = ensemble([rows([0.1, 0.2, 0.3], [5, 6, 7]), rows([0.9, 0.7, 0.8], [7, 5, 6])])
    assert mean["p_a"].tolist() == pytest.approx([0.4, 0.5, 0.6]) and mean["event_id"].tolist() == [5, 6, 7]
    assert (mean["p_a"] + mean["p_b"]).tolist() == pytest.approx([1, 1, 1]) and mean["label"].tolist() == [1, 0, 1]


def test_an_ensemble_of_different_events_is_refused() -> None:
    first = rows([0.1, 0.2], [5, 6])
    for table, words in (
        (rows([0.1, 0.2], [5, 7]), "seed 1: judged on other events than seed 0"),
        (rows([0.1, 0.2], [5, 5]), "seed 1: an event_id comes twice"),
        (first | {"label": np.array([0, 0])}, "seed 1: column label differs"),
        ({name: column for name, column in first.items() if name != "p_b"}, "seed 1: columns differ .* in p_b"),
    ):
        with pytest.raises(ValueError, match=words):
            ensemble([first, table])
    with pytest.raises(ValueError, match="no seed came"):
        ensemble([])

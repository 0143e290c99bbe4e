"""Boosted trees on observables: they learn what is there, honour weights, and refuse what they can't learn from."""

from __future__ import annotations

import numpy as np
import pytest

from pcloud.jets import trees

NAMES = ("mass", "tau21")


def some(seed: int, jets: int = 2000) -> tuple[dict[str, np.ndarray], np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, jets)
    return {"mass": draw.normal(80 * labels, 40), "tau21": draw.normal(0.6 - 0.2 * labels, 0.2)}, labels


def test_they_tell_classes_apart() -> None:
    """Two Gaussians 2 and 1 widths apart: the best cut has an accuracy of Phi(sqrt(5) / 2) = 0.868."""
    made = trees.fit(*some(1), names=NAMES, trees=40, leaves=8)
    columns, labels = some(2)
    share = trees.probabilities(made, columns, NAMES)
    assert share.shape == (2000, 2) and np.allclose(share.sum(axis=1), 1)
    assert 0.83 < (share.argmax(axis=1) == labels).mean() < 0.89
    again = trees.probabilities(trees.fit(*some(1), names=NAMES, trees=40, leaves=8), columns, NAMES)
    np.testing.assert_array_equal(share, again)


def test_a_weight_counts_as_so_many_jets() -> None:
    columns, labels = some(3, 500)
    times = np.random.default_rng(4).integers(1, 4, 500)
    repeated = {name: np.repeat(column, times) for name, column in columns.items()}
    one = trees.fit(columns, labels, times.astype(float), names=NAMES, trees=5, leaves=4)
    other = trees.fit(repeated, np.repeat(labels, times), names=NAMES, trees=5, leaves=4)
    difference = trees.probabilities(one, columns, NAMES) - trees.probabilities(other, columns, NAMES)
    assert np.abs(difference).mean() < 0.02, "up to the minimal jets of a leaf, which scikit-learn counts without weights"
    heavy = trees.fit(columns, labels, np.where(labels == 1, 10.0, 1.0), names=NAMES, trees=5)
    assert trees.probabilities(heavy, columns, NAMES)[:, 1].mean() > trees.probabilities(one, columns, NAMES)[:, 1].mean() + 0.2


def test_what_they_refuse() -> None:
    columns, labels = some(5, 50)
    with pytest.raises(ValueError, match="weights: negative ones came, which trees can't learn from"):
        trees.fit(columns, labels, np.full(50, -1.0), names=NAMES)
    with pytest.raises(ValueError, match="labels: 1 class came, expected at least 2"):
        trees.fit(columns, np.zeros(50), names=NAMES)
    with pytest.raises(ValueError, match="observables: no soft_drop_mass; came mass, tau21"):
        trees.fit(columns, labels)
    columns["mass"][7] = np.nan
    with pytest.raises(ValueError, match="observables: mass of jet 7 is nan, expected a finite number"):
        trees.fit(columns, labels, names=NAMES)

"""The size of a latent: spectra and knees worked out by hand, and curves that have none."""

from __future__ import annotations

import numpy as np
import pytest

from pcloud.anomaly.latent import knee, pca_spectrum, suggest_latent


def test_spectrum_of_a_cross() -> None:
    """Variances 4/2 and 1/2 along the axes: shares 0.8 and 0.2, participation 1 / (0.64 + 0.04)."""
    found = pca_spectrum([[2, 0], [-2, 0], [0, 1], [0, -1]])
    assert found.explained == pytest.approx([0.8, 0.2]) and found.participation == pytest.approx(1 / 0.68)
    assert [found.components(share) for share in (0.5, 0.8, 0.81, 1.0)] == [1, 1, 2, 2]


def test_participation_counts_equal_components() -> None:
    rows = np.random.default_rng(0).normal(size=(50_000, 7)) @ np.eye(7, 20)
    found = pca_spectrum(rows + 3)
    assert found.participation == pytest.approx(7, rel=1e-3) and found.explained[7:] == pytest.approx(0, abs=1e-9)


def test_knee_by_hand() -> None:
    """Scaled: (0, 1), (1/4, 1/8), (1/2, 1/16), (1, 0); below the chord 1 - x - y."""
    place, below = knee([2, 4, 6, 10], [1.6, 0.2, 0.1, 0.0])
    assert place == 1 and below == pytest.approx([0, 1 - 0.25 - 0.125, 1 - 0.5 - 0.0625, 0])


def test_knee_does_not_depend_on_units_or_a_bad_training() -> None:
    dims, losses = [1, 2, 4, 8, 16], np.array([5, 3, 1, 0.9, 0.8])
    place, below = knee(dims, losses)
    again, same = knee(dims, (1000 * losses + 7).tolist())
    assert place == again == 2 and below == pytest.approx(same)
    assert knee(dims, [5, 3, 1, 4.0, 0.8])[0] == 2  # eight dimensions did worse than four: what four hold is kept


def test_suggestion_of_a_rank_says_why() -> None:
    draw = np.random.default_rng(1)
    rows = draw.normal(size=(5000, 3)) @ draw.normal(size=(3, 30)) + 0.01 * draw.normal(size=(5000, 30))
    by_rows = suggest_latent(rows=rows)
    assert by_rows.dim == 3 and "share of variance left" in by_rows.reason and "participation" in by_rows.reason
    by_loss = suggest_latent(dims=[1, 2, 4, 8, 16], losses=[5, 3, 1, 0.9, 0.8], rows=rows)
    assert by_loss.dim == 4 and by_loss.reason.startswith("4: knee of the validation loss from 1 to 16 dimensions")
    assert "\n" not in by_loss.reason


@pytest.mark.parametrize(
    ("dims", "losses", "words"),
    [
        ([1, 2], [1.0, 0.5], "three or more rising"),
        ([1, 3, 2], [1.0, 0.5, 0.4], "three or more rising"),
        ([1, 2, 3], [1.0, 0.5], "one loss each"),
        ([1, 2, 3], [1.0, 1.0, 1.0], "does not fall from 1 to 3"),
        ([1, 2, 3], [3.0, 2.0, 1.0], "falls as fast at 3"),
        ([1, 2, 3], [1.0, 0.9, 0.1], "there is no knee"),
        ([1, 2, 3], [1.0, float("nan"), 0.1], "loss of 2 dimensions is not finite"),
    ],
)
def test_a_curve_without_knee_is_refused(dims: list[int], losses: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        knee(dims, losses)


def test_rows_without_spectrum_are_refused() -> None:
    with pytest.raises(ValueError, match="all rows are equal"):
        pca_spectrum(np.ones((5, 2)))
    with pytest.raises(ValueError, match="row 1 holds no finite number"):
        pca_spectrum([[1, 2], [float("nan"), 3]])
    with pytest.raises(ValueError, match=r"rows \[4\] came"):
        pca_spectrum(np.ones(4))
    with pytest.raises(ValueError, match="nothing came"):
        suggest_latent(dims=[1, 2, 3])

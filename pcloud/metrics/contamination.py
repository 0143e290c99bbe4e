"""What unknown signal in the training data costs: a search trains on data, and data may hold what is searched for.

``contamination(train_and_score)`` runs a training for each fraction and seed and tabulates AUC and e10; ``mixed`` picks the
training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pcloud.metrics.anomaly import search_figures
from pcloud.metrics.seeds import spread

FRACTIONS = (0.0, 0.01, 0.02, 0.05, 0.1)
SEEDS = (0, 1, 2)
WANTED = 0.9  # of the clean AUC, at the largest fraction
Rows = NDArray[np.int64]


def mixed(background: int, signal: int, fraction: float, *, seed: int = 0) -> tuple[Rows, Rows]:
    """Rows of ``background`` and of ``signal`` events for a training set of which ``fraction`` is signal.

    The set is as large as all background is, so that only its composition changes; a larger fraction of one seed holds the
    signal of the smaller ones.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction {fraction:g} came; expected 0 or more and less than 1")
    wanted = round(fraction * background)
    if wanted > signal:
        raise ValueError(f"a fraction {fraction:g} of {background:,} events needs {wanted:,} signal events; {signal:,} came")
    draw = np.random.default_rng(seed)
    order, other = draw.permutation(background), draw.permutation(signal)
    return np.sort(order[: background - wanted]), np.sort(other[:wanted])


def contamination(
    train_and_score: Callable[[float, int], tuple[ArrayLike, ArrayLike]],
    *,
    fractions: Sequence[float] = FRACTIONS,
    seeds: Sequence[int] = SEEDS,
) -> dict[str, Any]:
    """``train_and_score(fraction, seed)`` trains with that share of signal and returns score and signal (bool) of the same
    test rows each time; it is called for every fraction of every seed, clean first.

    ``rows``, one a fraction: of ``auc``, ``e10`` and ``auc_ratio`` (to the clean training of the same seed) the median over
    seeds, ``spread`` (half the distance from the 16 % to the 84 % quantile) and the values. ``held``: whether the median
    ratio at the largest fraction is 0.9 or more.
    """
    if not fractions or list(fractions) != sorted(set(fractions)) or fractions[0] != 0:
        raise ValueError(f"fractions {list(fractions)} came; expected them rising from 0, the clean training")
    if len(set(seeds)) < 3:
        raise ValueError(f"seeds {list(seeds)} came; expected at least three, as one training says little")
    found: dict[str, list[list[float]]] = {"auc": [], "e10": []}
    for fraction in fractions:
        figures = [search_figures(*train_and_score(fraction, seed), rejections=(10,), replicas=1) for seed in seeds]
        for name, table in found.items():
            table.append([one[name].value for one in figures])
    clean = np.array(found["auc"][0])
    found["auc_ratio"] = [(np.array(values) / clean).tolist() for values in found["auc"]]
    rows: list[dict[str, Any]] = [
        {"fraction": float(fraction), **{name: _over_seeds(table[place]) for name, table in found.items()}}
        for place, fraction in enumerate(fractions)
    ]
    ratio = rows[-1]["auc_ratio"]["median"]
    verdict = f"at {fractions[-1]:.0%} signal in training the AUC is {ratio:.3f} of the clean one, median of {len(seeds)} seeds: "
    held = bool(ratio >= WANTED)
    verdict += f"{'at least' if held else 'FAILED, less than'} {WANTED:g}"
    return {"rows": rows, "seeds": list(seeds), "wanted": WANTED, "held": held, "verdict": verdict}


def _over_seeds(values: Sequence[float]) -> dict[str, Any]:
    known = [one for one in values if not np.isnan(one)]
    median, half = spread(known) if known else (None, None)
    return {"median": median, "spread": half, "values": list(values)}

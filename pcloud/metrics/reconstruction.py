"""What is said of sets that were rebuilt: how far they are off, and, where labels are known, what the scores tell apart.

Rows have columns ``score``, perhaps ``score_latent``, ``constituents`` and ``constituents_said``; ``label`` 0 is the background.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pcloud.metrics.roc import auc, ranking

SCORES = {"score": "", "score_latent": ", latent"}
REJECTIONS = (10, 100)


def summary(rows: Mapping[str, Any]) -> dict[str, float]:
    """Mean score; mean relative error of the count; of each score auc, e10 and e100 (signal efficiency at background rejection
    10 and 100), where rows of label 0 and of others are there. Weights are honoured in all."""
    if not len(rows["score"]):
        return {}
    weight = np.asarray(rows.get("weight", np.ones(len(rows["score"]))), np.float64)
    if not weight.sum() > 0:
        return {}
    found = {"score": float(np.average(rows["score"], weights=weight))}
    if "constituents_said" in rows:
        off = np.abs(rows["constituents_said"] - rows["constituents"]) / np.maximum(rows["constituents"], 1)
        found["count_error"] = float(np.average(off, weights=weight))
    if "label" not in rows:
        return found
    signal = np.asarray(rows["label"]) != 0
    if not (weight[signal].sum() > 0 and weight[~signal].sum() > 0):
        return found
    for name, tail in SCORES.items():
        if name in rows:
            turned = ranking(-np.asarray(rows[name], np.float64), ~signal).curve(weight)  # from the background's end
            found[f"auc{tail}"] = auc(turned)
            found |= {f"e{one}{tail}": float(1 - turned.background_at(1 - 1 / one)) for one in REJECTIONS}
    return found

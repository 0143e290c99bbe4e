"""From an anomaly score to a discovery: the size of the latent, sculpting of the mass, and the bump hunt.

One file per question, pure functions on numpy columns; ROC figures of a search are in ``metrics.anomaly``.
"""

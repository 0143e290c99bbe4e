"""Figures of merit as pure functions on columns of numbers, each with its numerator, denominator and uncertainty.

One file per question: ``tracking`` against a whole truth, ``partial_truth`` against a part, ``challenge`` on files.
"""

"""What the columns of a store are: scope and role, type, unit, meaning, and how their values spread.

``Schema(columns)`` travels in the manifest; ``schema.moments(names)`` gives mean and width to standardise inputs with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

VERSION = 1
# The scopes are the fields of Event and PointCloud; a column's scope decides its role, never its name.
SCOPES = ("point", "event", "point_truth", "event_truth", "particle")
TRUTH = ("point_truth", "event_truth", "particle")
PER_EVENT = ("event", "event_truth")
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64")


@dataclass(frozen=True)
class Column:
    """One column; ``mean`` and ``width`` (standard deviation) run over all finite values, none for int64: ids."""

    scope: str
    name: str
    dtype: str
    unit: str = ""
    description: str = ""
    mean: float | None = None
    width: float | None = None

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise ValueError(f"column {self.name!r}: scope {self.scope!r} came, expected one of {', '.join(SCOPES)}")
        if self.dtype not in DTYPES:
            raise ValueError(f"column {self.name!r}: dtype {self.dtype!r} came, expected one of {', '.join(DTYPES)}")
        if not self.name or not all(isinstance(text, str) for text in (self.name, self.unit, self.description)):
            raise ValueError(f"column {self.name!r}: name, unit and description are texts, and the name is not empty")
        for value in (self.mean, self.width):
            if value is not None and not (isinstance(value, (int, float)) and math.isfinite(value)):
                raise ValueError(f"column {self.name!r}: mean and width are finite numbers, {value!r} came")


@dataclass(frozen=True)
class Schema:
    """The columns of a store, in order."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        seen = set()
        for column in self.columns:
            if (column.scope, column.name) in seen:
                raise ValueError(f"column {column.scope}[{column.name!r}] is declared twice; declare each once")
            seen.add((column.scope, column.name))

    def of(self, scope: str) -> tuple[Column, ...]:
        """The columns of one scope."""
        return tuple(column for column in self.columns if column.scope == scope)

    def names(self, scope: str) -> tuple[str, ...]:
        return tuple(column.name for column in self.of(scope))

    def column(self, scope: str, name: str) -> Column:
        for column in self.of(scope):
            if column.name == name:
                return column
        raise ValueError(f"no {scope} column {name!r}; there are: {', '.join(self.names(scope)) or 'none'}")

    def moments(self, names: Sequence[str], scope: str = "point") -> tuple[np.ndarray, np.ndarray]:
        """Mean and width [channels] float64 of the named columns, in that order."""
        columns = [self.column(scope, name) for name in names]
        for column in columns:
            if column.mean is None or column.width is None:
                raise ValueError(f"{scope} column {column.name!r} has no mean: it holds ids, or no finite value")
        return np.array([c.mean for c in columns], dtype=float), np.array([c.width for c in columns], dtype=float)

    def with_moments(self, moments: dict[tuple[str, str], Moments]) -> Schema:
        filled = []
        for column in self.columns:
            seen = moments.get((column.scope, column.name), Moments())
            filled.append(replace(column, mean=seen.mean, width=seen.width) if seen.count else column)
        return Schema(tuple(filled))

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(column) for column in self.columns]

    @staticmethod
    def from_json(columns: Iterable[dict[str, Any]]) -> Schema:
        return Schema(tuple(Column(**column) for column in columns))


class Moments:
    """Running mean and width of finite values, merged block by block (Chan, Golub and LeVeque, 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, values: np.ndarray) -> None:
        block = values.astype(np.float64)
        block = block[np.isfinite(block)]
        if not block.size:
            return
        total, mean = self.count + block.size, float(block.mean())
        step = mean - self.mean
        self._squares += float(((block - mean) ** 2).sum()) + step**2 * self.count * block.size / total
        self.mean += step * block.size / total
        self.count = total

    @property
    def width(self) -> float:
        """Standard deviation (divisor: the count); 0 for a constant column."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0

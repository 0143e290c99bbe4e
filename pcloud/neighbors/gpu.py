"""The GPU's paths and the choice between them: small events, a sorted grid, brute-force tiles, or plain torch for the rest.

All are Triton kernels, compiled at first use; without Triton the reference answers.
"""

from __future__ import annotations

import importlib.util

from pcloud.neighbors.search import Found, Path, Search

SMALL = 256  # points of an event that fit one program
GRID = 64  # neighbours that a lane of the grid keeps
MOST, DIMENSIONS = 1024, 32  # neighbours and axes that the tiles are made for


def choose(asked: Search) -> tuple[str, str]:
    """The path's name and the reason in words, from shapes and from what the host knows alone."""
    dim, free = asked.points.shape[1], asked.points.shape[1] - asked.wrap
    if importlib.util.find_spec("triton") is None:
        return "reference", "plain torch, as triton is not installed"
    if asked.k > MOST or dim > DIMENSIONS:
        return "reference", f"plain torch, as the kernels end at k = {MOST} and {DIMENSIONS} dimensions"
    if asked.max_points is not None and asked.max_points <= SMALL:
        return "small", f"events of at most {asked.max_points} points, each in one program"
    near = asked.reach2 < float("inf")
    if asked.k <= GRID and 0 < free and dim <= (12 if near else 4):
        return "grid", f"{'a radius' if near else 'nearest neighbours'} in {dim} dimensions rules out most of a grid's cells"
    return (
        "tiles",
        f"in {dim} dimensions with k = {asked.k} little can be ruled out: every point against every point of its event",
    )


def _small(asked: Search) -> Found:
    from pcloud.neighbors import gpu_small

    return gpu_small.small(asked)


def _grid(asked: Search) -> Found:
    from pcloud.neighbors import gpu_grid

    return gpu_grid.grid(asked)


def _tiles(asked: Search) -> Found:
    from pcloud.neighbors import gpu_tiles

    return gpu_tiles.tiles(asked)


PATHS: dict[str, Path] = {"small": _small, "grid": _grid, "tiles": _tiles}

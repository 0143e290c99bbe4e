"""All seeds and candidates of a range of first hits: one seed after another, passing over what a sure candidate already explains.

`search` and `all_seeds` are compiled; `passes.py` calls it for one wedge in phi after another.
"""

from __future__ import annotations

import numpy as np

from pcloud.neighbors.lanes import compiled
from pcloud.tracking.confirming import confirmed
from pcloud.tracking.following import follow
from pcloud.tracking.free_seeding import free_seeds
from pcloud.tracking.hits import Grid
from pcloud.tracking.inward import MOST
from pcloud.tracking.layers import Layers
from pcloud.tracking.seeding import beam_seeds
from pcloud.tracking.settings import UNCONFIRMED, Cuts


@compiled()
def all_seeds(
    first: int, last: int, starts: np.ndarray, layer_of: np.ndarray, grid: Grid, layers: Layers, links: np.ndarray, cuts: Cuts
) -> np.ndarray:
    """Triples of places in the grid [seeds, 3] for the first hits starts[first:last]."""
    seeds, count = np.empty((256, 3), np.int64), 0
    for i in range(first, last):
        while True:
            rest = seeds[count:]
            if cuts.beam > 0:
                found = beam_seeds(rest, starts[i], layer_of, grid, layers, links, cuts)
            else:
                found = free_seeds(rest, starts[i], layer_of, grid, layers, links, cuts)
            if found <= len(rest):
                break
            larger = np.empty((2 * (count + found), 3), np.int64)
            larger[:count] = seeds[:count]
            seeds = larger
        count += found
    return seeds[:count]


@compiled()
def search(first, last, starts, layer_of, field, grid, layers, links, cuts, room):
    """Seeds tried [n, 3], then names, gains, sizes and totals of the candidates of starts[first:last]."""
    tried, n_tried = np.empty((1024, 3), np.int32), 0
    names, gains, n = np.empty((256, MOST), np.int32), np.empty((256, MOST), np.float32), 0
    sizes, totals = np.empty(256, np.int64), np.empty(256)
    owner, seeds = np.full(len(layer_of), -1, np.int32), np.empty((256, 3), np.int64)
    for i in range(first, last):
        a = starts[i]
        if owner[a] >= 0 and totals[owner[a]] > cuts.sure:
            continue
        while True:
            if cuts.beam > 0:
                found = beam_seeds(seeds, a, layer_of, grid, layers, links, cuts)
            else:
                found = free_seeds(seeds, a, layer_of, grid, layers, links, cuts)
            if found <= len(seeds):
                break
            seeds = np.empty((2 * found, 3), np.int64)
        for s in range(found):
            b, c = seeds[s, 1], seeds[s, 2]
            if owner[a] >= 0 and owner[a] == owner[b] and owner[a] == owner[c]:
                continue
            if cuts.confirm > UNCONFIRMED and not confirmed(a, b, c, layer_of[c], grid, layers, links, cuts):
                continue
            if n_tried == len(tried):
                larger = np.empty((2 * n_tried, 3), np.int32)
                larger[:n_tried] = tried
                tried = larger
            tried[n_tried, 0], tried[n_tried, 1], tried[n_tried, 2] = a, b, c
            n_tried += 1
            m, total = follow(seeds[s], layer_of, field, grid, layers, cuts, False, room)
            if m == 0:
                continue
            if n == len(sizes):
                more_names, more_gains = np.empty((2 * n, MOST), np.int32), np.empty((2 * n, MOST), np.float32)
                more_sizes, more_totals = np.empty(2 * n, np.int64), np.empty(2 * n)
                more_names[:n], more_gains[:n], more_sizes[:n], more_totals[:n] = names, gains, sizes, totals
                names, gains, sizes, totals = more_names, more_gains, more_sizes, more_totals
            sizes[n], totals[n] = m, total
            for j in range(m):
                h = room.out[j]
                names[n, j], gains[n, j] = h, room.out_gain[j]
                if owner[h] < 0 or totals[owner[h]] < total:
                    owner[h] = n
            n += 1
    return tried[:n_tried], names[:n], gains[:n], sizes[:n], totals[:n]

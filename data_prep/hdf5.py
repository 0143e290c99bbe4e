"""HDF5 files of jets: opened and their arrays checked before any memory is taken.

``table = dataset(path, open_hdf5(path), "particle_features", (None, None, 4))`` is read like a numpy array, by slices.
"""

from __future__ import annotations

from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

from data_prep.columns import checked_rows, damage, need

WIDEST = 1 << 20  # bytes of one row
_BLOSC = range(32000, 32100)  # registered filters, of which the package hdf5plugin brings the common ones


def open_hdf5(path: Path) -> Any:
    """The file, open for reading."""
    h5py = need("h5py", str(path))
    with damage(path):
        return h5py.File(path, "r")


def dataset(path: Path, file: Any, name: str, shape: tuple[int | None, ...] | None = None) -> Any:
    """An array of the file; ``shape``: what it must be, None where any length will do. ValueError where it is not."""
    h5py = need("h5py", str(path))
    with damage(path):
        array = file.get(name)
        if not isinstance(array, h5py.Dataset):
            there = ", ".join(list(file)[:6]) or "nothing"
            raise ValueError(f"{path}: no array {name}; it has {there}")
        came: tuple[int, ...] = tuple(array.shape or ())
        if shape is not None:
            fits = len(came) == len(shape) and all(want in (None, has) for want, has in zip(shape, came, strict=True))
            if not fits or array.dtype.kind not in "fiub":
                expected = " x ".join("any" if one is None else str(one) for one in shape)
                raise ValueError(f"{path}: {name} is {array.dtype} {list(came)}, expected numbers, {expected}")
        if not came:
            raise ValueError(f"{path}: {name} is a single value, expected an array with a row per jet")
        row = array.dtype.itemsize * prod(came[1:])
        if row > WIDEST:
            raise ValueError(f"{path}: a row of {name} has {row} bytes, too many for a jet")
        checked_rows(path, came[0])
        _unpackable(path, array)
    return array


def _unpackable(path: Path, array: Any) -> None:
    """ValueError where the array is compressed by something that is not installed."""
    h5z = need("h5py", str(path)).h5z
    settings = array.id.get_create_plist()
    for place in range(settings.get_nfilters()):
        code = settings.get_filter(place)[0]
        if code in _BLOSC and not h5z.filter_avail(code):
            try:
                import_module("hdf5plugin")
            except ImportError:
                pass
        if not h5z.filter_avail(code):
            raise ValueError(f"{path}: compressed by filter {code}, which h5py lacks: pip install hdf5plugin")

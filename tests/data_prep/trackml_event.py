"""One event worked out by hand, as files that the tests of the reader share, and its folder packed in other forms."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

from pcloud.data.event import Event
from pcloud.data.schema import SCOPES

HITS = """hit_id,x,y,z,volume_id,layer_id,module_id
5,30.0,40.0,0.0,8,2,1
3,-3.0,0.0,4.0,8,2,2
9,0.0,-2.0,-1.5,8,4,1
"""
CELLS = """hit_id,ch0,ch1,value
3,10,7,0.25
5,100,200,0.5
3,12,7,0.5
3,11,8,0.125
"""
PARTICLES = """particle_id,vx,vy,vz,px,py,pz,q,nhits
9007199254740993,0.5,0,1,1,0,2,1,1
4503668346847232,0,0,0,0,0.25,0,-1,0
9007199254740995,0,0,0,0,0.5,0,-1,1
"""
TRUTH = """hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight
9,0,0,-2,-1.5,0,0,0,0
3,9007199254740995,-3,0,4,0,0.5,0,0.25
5,9007199254740993,30,40,0,1,0,2,0.1
"""
DETECTORS = """volume_id,layer_id,module_id,cx,cy,cz,rot_xu,rot_xv,rot_xw,rot_yu,rot_yv,rot_yw,rot_zu,rot_zv,rot_zw,\
module_t,module_minhu,module_maxhu,module_hv,pitch_u,pitch_v
8,2,1,0,0,0,1,0,0,0,1,0,0,0,1,0.15,8.4,8.4,36,0.05,0.05625
8,2,2,0,0,0,1,0,0,0,1,0,0,0,1,0.15,8.4,8.4,36,0.05,0.05625
8,4,1,0,0,0,1,0,0,0,1,0,0,0,1,0.25,24,24,54,0.08,1.2
"""
WHOLE = {"hits": HITS, "cells": CELLS, "particles": PARTICLES, "truth": TRUTH}


def lay(folder: Path, event_id: int = 7, **files: str | bytes | None) -> Path:
    """A folder with one event; keywords replace a file's text, None leaves it out."""
    folder.mkdir(exist_ok=True)
    (folder / "detectors.csv").write_text(DETECTORS)
    for kind, text in (WHOLE | files).items():
        if text is not None:
            raw = text if isinstance(text, bytes) else text.encode()
            (folder / f"event{event_id:09d}-{kind}.csv").write_bytes(raw)
    return folder


def assert_same(came: Event, expected: Event) -> None:
    for scope in SCOPES:
        assert list(getattr(came, scope)) == list(getattr(expected, scope)), scope
        for name, column in getattr(expected, scope).items():
            other = getattr(came, scope)[name]
            assert other.dtype == column.dtype and other.tobytes() == column.tobytes(), (scope, name)


# ---------------------------------------------------------------- what an event is


def pack_folder(folder: Path, target: Path, inside: str = "train_sample/") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, inside + file.name)
            archive.writestr(f"__MACOSX/._{file.name}", b"noise")
    return target


def gzip_folder(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    return target

"""One ACTS event worked out by hand, as files that the tests of its reader share."""

from __future__ import annotations

from pathlib import Path


def geometry_id(volume: int, layer: int, module: int) -> int:
    return volume << 56 | layer << 36 | module << 8 | 1


def particle_id(vertex: int, number: int) -> int:
    return vertex << 52 | number << 24


ONE, TWO = particle_id(1, 1), particle_id(1, 2)
RADII = {2: 30.0, 4: 70.0, 6: 110.0, 8: 170.0}
MODULES = [geometry_id(17, layer, 5) for layer in RADII]
DISC = geometry_id(18, 2, 3)

# Measurements of modules that stand at (r, 0, 0) with u along y and v along z, and one on a disc at z = 600.
MEASUREMENTS = (
    "measurement_id,geometry_id,local_key,local0,local1,phi,theta,time,var_local0,var_local1,var_phi,var_theta,var_time\n"
)
MEASUREMENTS += "".join(f"{n},{g},,{n / 10},{-n / 10},0,0,0,0.0003,0.0012,0,0,0\n" for n, g in enumerate(MODULES))
MEASUREMENTS += f"9,{DISC},,1.5,-2.5,0,0,0,0.0027,0,0,0,0\n"
HITS = "particle_id,geometry_id,tx,ty,tz,tt,tpx,tpy,tpz,te,deltapx,deltapy,deltapz,deltae,index\n"
HITS += "".join(
    f"{ONE},{g},{r},0.25,{n},0,1,0,0.5,1.2,0,0,0,0,{n}\n" for n, (g, r) in enumerate(zip(MODULES, RADII.values(), strict=True))
)
HITS += f"{TWO},{DISC},50,1,600,0,0.5,0,6,6,0,0,0,0,0\n"
LINK = "measurement_id,hit_id\n3,3\n2,2\n1,1\n0,0\n9,4\n9,0\n"  # the last measurement is of two particles
PARTICLES = "particle_id,particle_type,process,vx,vy,vz,vt,px,py,pz,m,q\n"
PARTICLES += f"{TWO},211,0,0,0,-1,0,0.5,0,6,0.14,1\n{ONE},-13,0,0.01,0,2,0,1,0,0.5,0.105,1\n{ONE + 1},22,0,0,0,0,0,3,0,4,0,0\n"
DETECTORS = (
    "geometry_id,volume_id,boundary_id,layer_id,module_id,cx,cy,cz,rot_xu,rot_xv,rot_xw,rot_yu,rot_yv,rot_yw,rot_zu,rot_zv,rot_zw,"
    "bounds_type,bound_param0,bound_param1,bound_param2,bound_param3,bound_param4,bound_param5,bound_param6,module_t,pitch_u,pitch_v\n"
)
DETECTORS += f"{2 << 56},2,0,0,0,0,0,0,1,0,0,0,1,0,0,0,1,1,19,3000,3.14,0,-1,-1,-1,-1,-1,-1\n"  # the beam pipe, a cylinder
DETECTORS += "".join(
    f"{g},17,0,{layer},5,{r},0,0,0,0,1,1,0,0,0,1,0,6,-8.4,-36,8.4,36,-1,-1,-1,0.15,-1,-1\n"
    for g, (layer, r) in zip(MODULES, RADII.items(), strict=True)
)
DETECTORS += f"{DISC},18,0,2,3,50,0,600,0,1,0,-1,0,0,0,0,1,7,8.5,14.5,34,0,-1,-1,-1,-1,0.04,-1\n"
WHOLE = {
    "measurements": MEASUREMENTS,
    "hits": HITS,
    "measurement-simhit-map": LINK,
    "particles_initial": PARTICLES,
}

NAMES = {"link": "measurement-simhit-map"}


def lay(folder: Path, detectors: str | None = DETECTORS, event_id: int = 3, **files: str | None) -> Path:
    """A folder with one event; keywords replace a file's text, None leaves it out; link is the map to simulated hits."""
    folder.mkdir(exist_ok=True)
    if detectors is not None:
        (folder / "detectors.csv").write_text(detectors)
    for kind, text in (WHOLE | {NAMES.get(name, name): one for name, one in files.items()}).items():
        if text is not None:
            (folder / f"event{event_id:09d}-{kind}.csv").write_text(text)
    return folder

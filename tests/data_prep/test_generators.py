"""Particles of Pythia 8 and of HepMC3 files: the right ones, in mm and GeV, and the same whichever events came before."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.simulate import generators, simulate, simulate_event
from data_prep.simulate.particles import BEAMS, Beam, Particles
from pcloud.scorer import decode_particle_id

POINT = Beam(sigma_z=0.0, silent=0.0, particles=1.0, sigma_xy=0.0)  # each collision at (0, 0, 0)


def rng(event_id: int = 0) -> np.random.Generator:
    return np.random.default_rng([1, event_id])


def contents(particles: Particles) -> dict[str, bytes]:
    return {field.name: getattr(particles, field.name).tobytes() for field in fields(particles)}


def rows(particles: Particles, vertex: int = 1) -> list[tuple[float, ...]]:
    """(PDG code, charge, x, y, z, px, py, pz) of one vertex."""
    mine = particles.take(particles.vertex == vertex)
    columns = (mine.species, mine.charge, *mine.position.T, *mine.momentum.T)
    return [tuple(round(float(value), 9) for value in row) for row in zip(*columns, strict=True)]


# ---------------------------------------------------------------------------------------------------------------- HepMC


def write(path: Path, units: str = "GEV MM", events: int = 3, origin: tuple[float, ...] = (0, 0, 0)) -> Path:
    """Events n = 0, 1, ...: two protons make a pi+ of pT 1 + n, an anti-Xi+, a deuteron and what is not to be kept.

    Among it a K_S -> pi+ pi- at (30, 40, 50) mm, whose pions are kept.
    """
    pyhepmc = pytest.importorskip("pyhepmc", reason="pyhepmc is not installed (extra gen)")
    pytest.importorskip("particle", reason="particle is not installed (extra gen)")
    momentum, length = units.split()
    p_unit, x_unit = {"GEV": 1.0, "MEV": 1000.0}[momentum], {"MM": 1.0, "CM": 0.1}[length]

    def particle(px: float, py: float, pz: float, code: int, status: int) -> Any:
        energy = np.sqrt(px * px + py * py + pz * pz)
        return pyhepmc.GenParticle(tuple(p_unit * x for x in (px, py, pz, energy)), code, status)

    def vertex(*place: float) -> Any:
        return pyhepmc.GenVertex((*(x_unit * x for x in place), 0.0))

    with pyhepmc.open(str(path), "w") as file:
        for n in range(events):
            event = pyhepmc.GenEvent(getattr(pyhepmc.Units, momentum), getattr(pyhepmc.Units, length))
            event.event_number = 17  # generators number events as they like: the place in the file counts
            collision, decay, outside = vertex(*origin), vertex(30, 40, 50), vertex(1200, 0, 0)
            for pz in (6500, -6500):
                collision.add_particle_in(particle(0, 0, pz, 2212, 4))
            kaon, long_kaon = particle(3, 0, 1, 310, 2), particle(0, 3, 1, 130, 2)
            kept = [particle(1 + n, 0, 0.5, 211, 1), particle(0, 2, 0, -3312, 1), particle(0.3, 0, 0, 1000010020, 1)]
            lost = [
                particle(0.09, 0, 0, 211, 1),  # too soft
                particle(1, 0, 28, 211, 1),  # eta 4.03
                particle(2, 0, 0, 22, 1),  # neutral
                particle(2, 0, 0, 2, 1),  # a quark
                particle(2, 0, 0, 321, 2),  # not final
            ]
            for one in (*kept, *lost, kaon, long_kaon):
                collision.add_particle_out(one)
            decay.add_particle_in(kaon)
            decay.add_particle_out(particle(1.5, 0.5, 0.5, 211, 1))
            decay.add_particle_out(particle(1.5, -0.5, 0.5, -211, 1))
            outside.add_particle_in(long_kaon)
            outside.add_particle_out(particle(1, 0, 0, 13, 1))  # starts at r = 1200 mm
            for one in (collision, decay, outside):
                event.add_vertex(one)
            file.write(event)
    return path


def of_event(n: int) -> list[tuple[float, ...]]:
    return [
        (211, 1, 0, 0, 0, 1 + n, 0, 0.5),
        (-3312, 1, 0, 0, 0, 0, 2, 0),
        (1000010020, 1, 0, 0, 0, 0.3, 0, 0),
        (211, 1, 30, 40, 50, 1.5, 0.5, 0.5),
        (-211, -1, 30, 40, 50, 1.5, -0.5, 0.5),
    ]


@pytest.mark.parametrize("ending", ["hepmc3", "hepmc.gz"])
@pytest.mark.parametrize("units", ["GEV MM", "MEV CM"])
def test_a_file_alone_gives_its_charged_final_particles_in_mm_and_gev(tmp_path: Path, units: str, ending: str) -> None:
    name = str(write(tmp_path / f"three.{ending}", units))
    for n in (0, 1, 2, 1, 0, 2):
        made = generators.generate(name, rng(), n, pileup=0, beam=POINT)
        assert rows(made) == of_event(n)
        assert set(made.vertex) == {1} and not made.generation.any() and not made.secondary.any()
        assert (made.primary > 0).all() and (np.diff(made.primary) > 0).all()


def test_a_collision_at_the_origin_is_moved_to_the_beam_spot_and_any_other_stays(tmp_path: Path) -> None:
    made = generators.generate(str(write(tmp_path / "at.hepmc3")), rng(), 0, pileup=0, beam=BEAMS[1])
    spot = made.position[0]
    assert spot.all() and np.abs(spot / [0.0145, 0.0145, 5.5]).max() < 5
    np.testing.assert_allclose(made.position - spot, [[0, 0, 0]] * 3 + [[30, 40, 50]] * 2, atol=1e-9)
    off = generators.generate(str(write(tmp_path / "off.hepmc3", origin=(0.1, 0, 7))), rng(), 0, pileup=0, beam=BEAMS[1])
    np.testing.assert_allclose(off.position, [[0.1, 0, 7]] * 3 + [[30, 40, 50]] * 2, atol=1e-9)


def test_soft_vertices_around_a_file(tmp_path: Path) -> None:
    made = generators.generate(str(write(tmp_path / "three.hepmc3")), rng(), 1, pileup=40, beam=POINT)
    assert rows(made) == of_event(1)
    assert len(set(made.vertex)) > 25 and (np.diff(made.vertex) >= 0).all()
    assert len(set(made.particle_id)) == len(made)


def test_event_i_of_a_folder_is_number_i_of_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "three.hepmc3")
    simulate(tmp_path / "all", events=3, pileup=0, seed=4, generator=str(file))
    (series,) = json.loads((tmp_path / "all" / "simulation.json").read_text())
    assert series["first_event"] == 0 and series["generator"] == "three.hepmc3"
    assert series["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    simulate(tmp_path / "last", events=1, pileup=0, seed=4, generator=str(file), first_event=2)
    everything, last = (tmp_path / folder / "event000000002-particles.csv.gz" for folder in ("all", "last"))
    assert everything.read_bytes() == last.read_bytes()
    assert ",3,0,0.5,1," in gzip.decompress(last.read_bytes()).decode(), "the pi+ of event 2"
    write(file, "MEV CM")
    with pytest.raises(ValueError, match="simulation.json: events 0 to 2 here were made with .*choose another folder"):
        simulate(tmp_path / "all", events=3, pileup=0, seed=4, generator=str(file))


def test_more_events_than_the_file_has_make_none(tmp_path: Path) -> None:
    file = write(tmp_path / "three.hepmc3")
    with pytest.raises(ValueError, match=r"three.hepmc3: event 3 asked for, but the file has 3 \(numbers from 0\)"):
        simulate(tmp_path / "raw", events=4, pileup=1, seed=4, generator=str(file))
    assert not list((tmp_path / "raw").glob("event*"))


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda text: b"", "not a HepMC3 file"),
    "another format": (lambda text: b"<LesHouchesEvents version='1.0'>\n", "not a HepMC3 file"),
    "no events": (lambda text: text[: text.index(b"E 17")], "event 0 asked for, but the file has 0"),
    "cut in a line": (lambda text: text[: text.index(b" 1\nP 5") - 9], "event 0 is broken: at 'P 4"),
    "cut after a line": (lambda text: text[: text.index(b"P 5")], "event 0 is broken: 15 particles are announced, 4 are there"),
    "no number": (lambda text: text.replace(b" 1.0000000000000000e+00", b" one", 1), "event 0 is broken: at 'P .* one"),
    "not finite": (lambda text: text.replace(b" 1.0000000000000000e+00", b" nan", 1), "event 0 is broken: at 'P .* nan"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_told_in_one_line(tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]) -> None:
    spoil, told = BROKEN[case]
    whole = write(tmp_path / "three.hepmc3").read_bytes()
    (tmp_path / "bad.hepmc3").write_bytes(spoil(whole))
    with pytest.raises(ValueError, match=f"bad.hepmc3: {told}") as error:
        simulate_event(0, pileup=0, seed=1, generator=str(tmp_path / "bad.hepmc3"))
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", ""), "HepMC3 itself says nothing"


def test_a_broken_gzip_file(tmp_path: Path) -> None:
    whole = write(tmp_path / "three.hepmc3").read_bytes()
    (tmp_path / "cut.hepmc.gz").write_bytes(gzip.compress(whole)[:-200])
    (tmp_path / "plain.hepmc.gz").write_bytes(whole)
    for name in ("cut", "plain"):
        with pytest.raises(ValueError, match=f"{name}.hepmc.gz: not a whole gzip file"):
            generators.check(str(tmp_path / f"{name}.hepmc.gz"), 2)


# --------------------------------------------------------------------------------------------------------------- Pythia


@pytest.fixture(scope="module")
def pythia() -> Any:
    pytest.importorskip("pythia8mc", reason="pythia8mc is not installed (extra gen)")
    from data_prep.simulate import pythia

    return pythia


def test_an_event_of_pythia_does_not_depend_on_those_before(pythia: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def made(event_id: int) -> dict[str, bytes]:
        return contents(generators.generate("pythia8", rng(event_id), event_id, pileup=15, beam=BEAMS[2]))

    pythia._tables.cache_clear()  # so that what follows is the first event of all
    alone = made(5)
    other = made(4)
    assert other != alone and made(5) == alone and made(4) == other
    assert capfd.readouterr().out == "", "Pythia says nothing"


# Seeds whose first collisions are diffractive, with masses that differ by less than a per cent (in Pythia 8.317).
NEAR = ((2423, 819), (984, 914), (1192, 1661), (1611, 1943), (302, 625), (325, 2060))


def test_pythia_remembers_diffractive_masses_but_no_event_sees_it(pythia: Any) -> None:
    def made(seed: int) -> bytes:
        (collision,) = pythia._collisions(pythia.PILEUP, 1, seed)
        return bytes(collision.tobytes())

    def again(used: Any, seed: int) -> bytes:
        used.rndm.init(seed)
        used.next()
        return np.array([(p.px(), p.py(), p.pz()) for p in used.event]).tobytes()

    for before, seed in NEAR:
        alone, _ = made(seed), made(before)
        assert made(seed) == alone
    used = pythia._fresh(pythia.PILEUP)
    seeded_anew = [again(used, seed) for pair in NEAR for seed in pair][1::2]
    assert seeded_anew != [again(pythia._fresh(pythia.PILEUP), seed) for _, seed in NEAR], "this is why each event starts anew"


def test_particles_of_pythia(pythia: Any) -> None:
    made = generators.generate("pythia8", rng(), 0, pileup=100, beam=BEAMS[2])
    pt = np.hypot(made.momentum[:, 0], made.momentum[:, 1])
    assert pt.min() > 0.1 and np.abs(np.arcsinh(made.momentum[:, 2] / pt)).max() < 4
    assert set(made.charge) == {-1, 1} and len(set(made.particle_id)) == len(made) and not made.generation.any()
    kinds = np.abs(made.species)
    assert set(kinds) <= {11, 13, 211, 321, 2212, 3112, 3222, 3312, 3334}, "what lives long enough to leave hits"
    assert 0.75 < (kinds == 211).mean() < 0.9
    negative = np.isin(kinds, (11, 13, 3112, 3312, 3334))  # particles, with codes above zero, of charge -1
    assert (np.sign(made.species) * np.where(negative, -1, 1) == made.charge).all()
    assert 70 < made.vertex.max() < 140 and np.bincount(made.vertex)[1] > 2 * np.bincount(made.vertex)[2:].mean()
    assert pt[made.vertex == 1].max() > 5
    radius = np.hypot(made.position[:, 0], made.position[:, 1])
    assert 0.03 < (radius > 1).mean() < 0.15 and radius.max() < 1000, "decays in flight"
    assert len(set(made.position[radius < 0.1][:, 2])) > 60 and 35 < made.position[radius < 0.1][:, 2].std() < 90


def test_pythia_goes_the_whole_way(pythia: Any, tmp_path: Path, pcloud_run: Callable[..., Any]) -> None:
    """simulate, prepare, and the truth handed in scores one."""

    def ok(*arguments: object) -> str:
        done = pcloud_run(*arguments, cwd=tmp_path)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return str(done.stdout)

    options = ("--events", 1, "--pileup", 3, "--seed", 9, "--generator", "pythia8")
    assert ok("simulate", "raw", *options) == "raw: 1 synthetic events\n"
    (series,) = json.loads((tmp_path / "raw" / "simulation.json").read_text())
    assert series["generator"] == "pythia8" and series["pythia"] == pythia.VERSION
    assert ok("prepare", "trackml", "raw", "store").startswith("store: 1 events")
    with gzip.open(tmp_path / "raw" / "event000001000-truth.csv.gz", "rt") as file:
        owner = [line.split(",")[:2] for line in list(file)[1:]]
    (tmp_path / "s.csv").write_text("event_id,hit_id,track_id\n" + "".join(f"1000,{hit},{one}\n" for hit, one in owner))
    assert json.loads(ok("score", "--truth", "raw", "--submission", "s.csv", "--json"))["score"] == pytest.approx(1)


# -------------------------------------------------------------------------------------------------------------- choosing


def test_the_tables_are_what_they_were_and_a_typing_error_is_told() -> None:
    first, named = (simulate_event(3, pileup=1, seed=2, **more) for more in ({}, {"generator": "tables"}))
    assert all(first[name].equals(named[name]) for name in first)
    assert set(decode_particle_id(first["particles"].particle_id)["generation"]) <= {0, 1, 2, 3}
    with pytest.raises(ValueError, match="generator: 'pytia' came, expected tables, pythia8 or a HepMC3 file that is there"):
        simulate_event(3, pileup=1, seed=2, generator="pytia")


@pytest.mark.parametrize(("package", "module"), [("pythia8mc", "pythia"), ("pyhepmc", "hepmc"), ("particle", "hepmc")])
def test_a_missing_package_is_told(package: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"data_prep.simulate.{module}", raising=False)
    if module == "hepmc" and package == "particle":
        pytest.importorskip("pyhepmc", reason="pyhepmc is not installed (extra gen)")
    (tmp_path / "some.hepmc").touch()
    name = "pythia8" if module == "pythia" else str(tmp_path / "some.hepmc")
    with pytest.raises(ValueError, match=rf"generator: {package} is not installed; it comes with: pip install 'pcloud\[gen\]'"):
        simulate(tmp_path / "out", events=1, pileup=1, seed=2, generator=name)

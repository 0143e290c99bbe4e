"""Transport against what can be worked out on paper: circles in a constant field, straight lines, matter by its own law."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.simulate.lookup import Lookup
from data_prep.simulate.material import layer_material, surfaces
from data_prep.simulate.transport import Tracks, transport
from pcloud.tracking.detector import trackml_detector
from pcloud.tracking.field import AXIS_X, AXIS_Y, HALF_LENGTH, MIDDLE, RADIUS, STRENGTH, field_table, solenoid, uniform_table

DETECTOR = trackml_detector()
LOOKUP = Lookup.of(DETECTOR)
LAYERS = len(LOOKUP.envelope)


def fly(
    momentum: np.ndarray, charge: np.ndarray, *, field: np.ndarray, position: np.ndarray | None = None, matter: bool = False
) -> Tracks:
    layers = layer_material(DETECTOR) if matter else np.zeros((LAYERS, 4))
    walls = surfaces() if matter else np.zeros((0, 8))
    start = np.zeros((len(momentum), 3)) if position is None else position
    return transport(start, momentum, charge, LOOKUP, field, layers, walls, 1.0, np.random.default_rng(1))


def directions(n: int, pt: float, eta: float) -> np.ndarray:
    phi = np.linspace(-np.pi, np.pi, n, endpoint=False)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), np.full(n, pt * np.sinh(eta))], axis=1)


@pytest.mark.parametrize("charge", [-1, 1])
@pytest.mark.parametrize("pt", [0.25, 0.5, 2.0])
def test_circles_in_a_constant_field(pt: float, charge: int) -> None:
    # pt = 0.3 B R: in 2 T a particle of 0.5 GeV runs on a circle of radius 834 mm through the beam line, centre at right
    # angles to its start; the turned angle times R tan(lambda) is z
    momentum = directions(64, pt, 0.5)
    tracks = fly(momentum, np.full(64, charge), field=uniform_table(2.0))
    radius = pt / (0.299792458e-3 * 2.0)
    start = momentum[tracks.particle, :2] / pt
    centre = charge * radius * np.stack([start[:, 1], -start[:, 0]], axis=1)
    arm = tracks.position[:, :2] - centre
    np.testing.assert_allclose(np.hypot(*arm.T), radius, atol=2e-3)
    turned = -charge * np.angle((arm[:, 0] + 1j * arm[:, 1]) / -(centre[:, 0] + 1j * centre[:, 1]))
    assert (turned > 0).all(), "positive particles turn clockwise seen from +z"
    np.testing.assert_allclose(tracks.position[:, 2], radius * turned * np.sinh(0.5), atol=0.02)
    np.testing.assert_allclose(np.hypot(*tracks.momentum[:, :2].T), pt, rtol=1e-6)
    np.testing.assert_allclose(tracks.momentum[:, 2], pt * np.sinh(0.5), rtol=1e-6)


def test_straight_tracks_hit_every_barrel_layer() -> None:
    tracks = fly(directions(500, 1000.0, 0.2), np.ones(500), field=uniform_table(0.0))
    layers = LOOKUP.layer[tracks.module]
    assert all(len(np.unique(layers[tracks.particle == i])) == 10 for i in range(500)), "4 + 4 + 2 barrel layers, no holes"
    along = np.cross(tracks.position, tracks.momentum / 1000.0)
    assert np.abs(along).max() < 1e-4, "hits lie on the line"
    assert 1.05 < len(tracks.particle) / 5000 < 1.4, "overlaps give double hits"


def test_hits_lie_inside_their_modules_once() -> None:
    tracks = fly(directions(400, 0.4, 1.4), np.ones(400), field=field_table())
    offset = tracks.position - LOOKUP.centre[tracks.module]
    u, v, w = np.einsum("ni,nji->jn", offset, LOOKUP.axes[tracks.module])
    low, high, half_v = LOOKUP.sizes[tracks.module].T
    assert np.abs(w).max() < 1e-6 and (np.abs(v) <= half_v).all()
    assert (np.abs(u) <= low + (high - low) * (v + half_v) / (2 * half_v) + 1e-9).all()
    assert len(np.unique(np.stack([tracks.particle, tracks.module], axis=1), axis=0)) == len(tracks.module)


def test_half_a_turn_ends_it() -> None:
    tracks = fly(directions(32, 0.2, 0.0), np.ones(32), field=uniform_table(2.0))
    assert np.hypot(*tracks.position[:, :2].T).max() < 2 * 0.2 / (0.299792458e-3 * 2.0) + 1e-6
    outward = (tracks.position[:, :2] * tracks.momentum[:, :2]).sum(axis=1)
    assert (outward > -1e-3).all(), "a particle from the beam line stops where it would come back"


def test_a_layer_is_listed_for_the_way_in_only() -> None:
    # born between the second and third pixel layer and sent straight through the beam pipe to the other side: the pixels
    # are met on the way in, and again after the pipe; sent inward past the pipe, only on the way in
    straight = np.array([[100.0, 0.0, 10.0], [100.0, 0.0, 10.0]])
    through, past = np.array([-1000.0, 0.0, 0.0]), 1000 * np.array([-np.cos(0.5), np.sin(0.5), 0.0])
    tracks = fly(np.stack([through, past]), np.ones(2), field=uniform_table(0.0), position=straight)
    radius = [np.round(np.hypot(*tracks.position[tracks.particle == i, :2].T) / 10) for i in (0, 1)]
    assert radius[0][0] == 7 and {3, 7, 12, 17} <= set(radius[0])
    assert radius[1][0] == 7 and not {12, 17} & set(radius[1]), "the way out of the same barrel is missing"


@pytest.mark.parametrize("eta", [1.5, 1.9, 2.0])
def test_discs_are_listed_by_the_straight_line_from_where_a_particle_comes_in(eta: float) -> None:
    # in 2 T 0.25 GeV make circles of 417 mm through the beam line: at z the direction has turned by z / (417 mm sinh eta).
    # The middle discs' volume is entered at its face, the outer one's where the particle leaves the middle one, at 720 mm
    radius, slope = 0.25 / (0.299792458e-3 * 2.0), np.sinh(eta)
    walls = surfaces()
    walls[:, 4:] = 0.0  # nothing but places where a step ends
    momentum, still = directions(200, 0.25, eta), np.zeros((LAYERS, 4))
    generator = np.random.default_rng(1)
    tracks = transport(np.zeros((200, 3)), momentum, np.ones(200), LOOKUP, uniform_table(2.0), still, walls, 1.0, generator)
    hit = np.unique(LOOKUP.layer[tracks.module])

    def at(z: float) -> complex:
        return complex(1j * radius * (np.exp(-1j * z / (radius * slope)) - 1))

    face, wall = 1182.7, 2 * np.arcsin(720 / (2 * radius)) * radius * slope
    seen = passed_by = 0
    for layer in np.flatnonzero(LOOKUP.disc & (LOOKUP.envelope[:, 2] > face)):
        low, high, near, far = LOOKUP.envelope[layer]
        z, come_in = (near + far) / 2, face if high < 720 else max(face, wall)
        straight = abs(at(come_in) + np.exp(-1j * come_in / (radius * slope)) * (z - come_in) / slope)
        if z > come_in and low + 10 < abs(at(z)) < high - 10 and abs(straight - high) > 20:
            assert (layer in hit) == (straight < high), (layer, abs(at(z)), straight, high)
            seen, passed_by = seen + (straight < high), passed_by + (straight > high)
    assert seen >= 2 and passed_by >= 1


def test_grazing_crossings_are_not_read_out() -> None:
    tracks = fly(directions(200, 0.5, 3.3), np.ones(200), field=field_table())
    cosine = (tracks.momentum * LOOKUP.axes[tracks.module, 2]).sum(axis=1) / np.linalg.norm(tracks.momentum, axis=1)
    assert np.abs(cosine).min() > 0.1 and not (DETECTOR["volume_id"][tracks.module] == 8).any()


def test_a_ring_gives_three_hits_at_most() -> None:
    # at r = 31 mm modules of half 8.4 mm and 9 degrees apart lie over one another up to four deep; real events show three
    start = np.zeros((397, 3))
    start[:, 2] = np.linspace(-60.0, 60.0, 397)
    tracks = fly(directions(397, 5.0, 3.65), np.ones(397), field=uniform_table(0.0), position=start)
    pixels = DETECTOR["volume_id"][tracks.module] == 9
    _, count = np.unique(np.stack([tracks.particle, LOOKUP.layer[tracks.module]])[:, pixels], axis=1, return_counts=True)
    assert count.max() == 3 and (count == 3).mean() > 0.3
    crossed, middle = ((p[:, 0] + 1j * p[:, 1])[pixels] for p in (tracks.position, LOOKUP.centre[tracks.module]))
    assert np.degrees(np.abs(np.angle(crossed / middle))).max() < 13.5


def test_matter_slows_scatters_and_stops() -> None:
    momentum = directions(4000, 1.0, 0.0)
    tracks = fly(momentum, np.ones(4000), field=uniform_table(0.0), matter=True)
    size = np.linalg.norm(tracks.momentum, axis=1)
    assert (size <= 1.0).all()
    outer = DETECTOR["volume_id"][tracks.module] == 17
    assert 0.005 < 1 - np.median(size[outer]) < 0.02, "some 10 MeV are lost on the way out"
    # interactions follow the tables: pipe, four pixel layers, tube, four short and two long layers at right angles
    inside = [row for row in surfaces() if row[0] == 0]
    passed = sum(row[6] for row in inside) + sum(layer_material(DETECTOR)[k, 2] for k in np.unique(LOOKUP.layer[tracks.module]))
    assert abs(len(tracks.lost) / 4000 - (1 - np.exp(-1.1 * passed))) < 0.04
    assert np.allclose(np.linalg.norm(tracks.lost_momentum, axis=1), 1.0, atol=0.1)


def test_scattering_has_the_width_of_highland() -> None:
    # first layer is met after 0.8 mm of beryllium: 13.6 MeV sqrt(x) (1 + 0.038 ln x) with x = 0.8 / 352.8, at 1 GeV
    tracks = fly(directions(4000, 1.0, 0.0), np.ones(4000), field=uniform_table(0.0), matter=True)
    first = np.flatnonzero(np.diff(np.r_[-1, tracks.particle]))
    first = first[np.hypot(*tracks.position[first, :2].T) < 40]
    x = 0.8 / 352.8
    expected = 0.0136 * np.sqrt(x) * (1 + 0.038 * np.log(x))
    assert np.std(tracks.momentum[first, 2] / np.linalg.norm(tracks.momentum[first], axis=1)) == pytest.approx(expected, rel=0.05)


def test_soft_particles_end_where_they_meet_matter() -> None:
    tracks = fly(directions(200, 0.14, 0.0), np.ones(200), field=field_table(), matter=True)
    assert not len(tracks.particle), "below 0.15 GeV nothing passes the beam pipe"


def test_field_on_the_axis() -> None:
    z = np.linspace(-3000, 3000, 13)
    ends = [z - MIDDLE + HALF_LENGTH, z - MIDDLE - HALF_LENGTH]
    expected = STRENGTH / 2 * (ends[0] / np.hypot(ends[0], RADIUS) - ends[1] / np.hypot(ends[1], RADIUS))
    radial, axial = solenoid(np.zeros(13), z)
    np.testing.assert_allclose(axial, expected, rtol=1e-12)
    np.testing.assert_allclose(radial, 0, atol=1e-12)


def test_field_obeys_maxwell() -> None:
    r, z = np.meshgrid(np.linspace(50, 1150, 12), np.linspace(-2900, 2900, 30), indexing="ij")
    step = 0.05
    (up_r, up_z), (down_r, down_z) = solenoid(r + step, z), solenoid(r - step, z)
    (front_r, front_z), (back_r, back_z) = solenoid(r, z + step), solenoid(r, z - step)
    divergence = ((r + step) * up_r - (r - step) * down_r) / (2 * step * r) + (front_z - back_z) / (2 * step)
    curl = (front_r - back_r - up_z + down_z) / (2 * step)
    assert np.abs(divergence).max() < 1e-8 and np.abs(curl).max() < 1e-8


def test_measured_field_where_it_was_measured() -> None:
    # effective figures of a study of the real event: 2.0 T at the middle, falling faster on the right than on the left
    axial = solenoid(np.hypot(AXIS_X, AXIS_Y), np.array([0.0, -2000.0, 2000.0]))[1]
    assert axial[0] == pytest.approx(1.99, abs=0.01) and axial[1] > axial[2] + 0.1

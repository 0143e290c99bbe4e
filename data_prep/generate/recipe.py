"""What a store of generated jets follows from: its kind's window and classes, what may be changed in them, and a seed.

``Recipe.of("top-tagging", seed=1, pt=(800, 900)).chunk(3)`` makes jets 3000 to 3999, whatever else is made and where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from data_prep.generate.processes import PAIRS, PROCESSES, Process
from data_prep.jets import Jets, joined

CHUNK = 1000  # jets that are made, and kept after a broken run, together
VERSION = 1  # raised whenever the same arguments give other jets
PYTHIA, TOY = GENERATORS = ("pythia8", "toy")


class Window(NamedTuple):
    """classes, the range of pT (GeV), the limit of abs(eta), and the radius of anti-kT; the processes, and who makes them."""

    classes: tuple[str, ...]
    pt: tuple[float, float]
    eta: float
    radius: float
    processes: Mapping[str, Process] = PROCESSES
    makers: Mapping[str, str] = {PYTHIA: "collisions", TOY: "toy"}


KINDS = {
    "top-tagging": Window(("qcd", "top"), (550.0, 650.0), 2.0, 0.8),
    "quark-gluon": Window(("gluon", "quark"), (500.0, 550.0), 1.7, 0.4),
    "top-pairs": Window(("ttbar", "zprime"), (30.0, 5000.0), 2.5, 0.4, PAIRS, {PYTHIA: "whole"}),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that a jet depends on but its number. Build it with `of`, which checks it."""

    kind: str
    seed: int
    generator: str
    classes: tuple[str, ...]
    pt: tuple[float, float]
    eta: float
    radius: float

    @classmethod
    def of(
        cls,
        kind: str,
        *,
        seed: int,
        process: Sequence[str] | None = None,
        pt: tuple[float, float] | None = None,
        eta: float | None = None,
        radius: float | None = None,
        generator: str | None = None,
    ) -> Recipe:
        """What is None is the kind's own. ValueError of one line on a bad value, or where a package is missing."""
        usual = KINDS[kind]
        names, known = usual.classes if process is None else tuple(process), usual.processes
        for name in names:
            if name not in known or names.count(name) > 1:
                raise ValueError(f"process: {name!r} came, each once of {', '.join(known)} expected")
        pt = usual.pt if pt is None else (float(pt[0]), float(pt[1]))
        eta, radius = usual.eta if eta is None else eta, usual.radius if radius is None else radius
        if not 20 <= pt[0] < pt[1] <= 5000:
            raise ValueError(f"pt: {pt[0]:g}:{pt[1]:g} came, a range within 20:5000 GeV expected, as 550:650")
        if not (0 < eta <= 2.5 and 0.1 <= radius <= 1.5):
            raise ValueError(f"eta {eta:g} and radius {radius:g} came, expected within (0, 2.5] and [0.1, 1.5]")
        if seed < 0:
            raise ValueError(f"seed: {seed} came, expected 0 or above")
        recipe = cls(kind, seed, generator or PYTHIA, tuple(n for n in known if n in names), pt, eta, radius)
        recipe._maker()
        return recipe

    def told(self) -> dict[str, Any]:
        """What is kept beside the jets, so that others are never mixed with them; JSON's own types."""
        words = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return words | {"version": VERSION, "chunk": CHUNK, **self._maker().VERSIONS}

    def source(self, jets: int) -> dict[str, Any]:
        """What a store of so many says of them."""
        return {
            "name": self.kind,
            "from": f"pcloud prepare {self.kind} --generate {jets}",
            "truth": True,
            "synthetic": True,
            "classes": list(self.classes),
            "processes": {name: KINDS[self.kind].processes[name].text for name in self.classes},
            "recipe": self.told(),
            "notes": [self._maker().NOTE],
        }

    def chunk(self, number: int, jets: int) -> Jets:
        """Jets CHUNK * number and on, so many; the classes in equal parts, shuffled."""
        shares = [len(range(i, jets, len(self.classes))) for i in range(len(self.classes))]
        turn = number % len(self.classes)  # a rest falls to another class each time
        shares = shares[turn:] + shares[:turn]
        given = enumerate(zip(self.classes, shares, strict=True))
        made = [self._one(name, number, share, label) for label, (name, share) in given if share]
        rng = np.random.default_rng([self.seed, number, len(KINDS[self.kind].processes)])
        shuffled = joined(made).take(rng.permutation(jets))
        shuffled.event_id = np.arange(CHUNK * number, CHUNK * number + jets)
        return shuffled

    def _one(self, name: str, number: int, share: int, label: int) -> Jets:
        code = list(KINDS[self.kind].processes).index(name)
        sequence = np.random.SeedSequence([self.seed, number, code])
        jets: Jets = self._maker().make(self, name, share, sequence)
        jets.label = np.full(share, label)
        return jets

    def _maker(self) -> Any:
        makers = KINDS[self.kind].makers
        if self.generator not in makers:
            raise ValueError(f"generator: {self.generator!r} came, expected one of {', '.join(makers)}")
        try:
            return import_module(f"data_prep.generate.{makers[self.generator]}")
        except ImportError as error:
            needs = f"{error.name} is not installed; it comes with: pip install 'pcloud[jets]'"
            raise ValueError(f"generator: {needs}{'; --generator toy needs nothing' if TOY in makers else ''}") from error

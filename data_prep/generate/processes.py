"""What jets and whole events are made of: one entry a class, said in Pythia's words, with what a jet of it must hold to count.

``PROCESSES["top"]``, ``PAIRS["ttbar"]``; labels follow the order of a table, whatever order a user names classes in.
"""

from __future__ import annotations

from typing import NamedTuple

GLUINO = 1_000_021


class Process(NamedTuple):
    """text: for the record. lines: settings of Pythia. roots: whose decay the jet must hold, all its quarks within the radius.

    hat: range of the hard process's pT over that of the jets: from hat[0] times the lower to hat[1] times the upper limit. A
    narrower one gives more jets of as many events, a wider one fewer of those lost that radiation carried into the window.
    Without roots any jet counts, of the `hardest` ones of an event. slha: a spectrum that Pythia reads beside the lines.
    """

    text: str
    lines: tuple[str, ...]
    hat: tuple[float, float] = (0.8, 1.3)
    roots: tuple[int, ...] = ()
    slha: str = ""
    hardest: int = 2


def _quarks(boson: str, *others: str) -> tuple[str, ...]:
    return (f"{boson}:onMode = off", f"{boson}:onIfAny = {' '.join(('1 2 3 4 5', *others))}")


_HIGGS = ("HiggsSM:gg2Hg(l:t) = on", "HiggsSM:qg2Hq(l:t) = on", "HiggsSM:qqbar2Hg(l:t) = on", "25:onMode = off")
_HEAVY = ("25:m0 = 400", "25:mMin = 300", "25:mMax = 500", "25:doForceWidth = on", "25:mWidth = 4")
_Z_UNSEEN = ("WeakZ0:gmZmode = 2", "23:onMode = off", "23:onIfAny = 12 14 16")
_TOPS = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on", *_quarks("24"))
_SQUARKS = "".join(f" {code} 10000.0\n" for side in (1_000_000, 2_000_000) for code in range(side + 1, side + 7))
_RPV = (
    f"BLOCK SPINFO\n 1 pcloud\n 2 1\nBLOCK MODSEL\n 1 0\nBLOCK MASS\n {GLUINO} 400.0\n{_SQUARKS}"
    f"DECAY {GLUINO} 1.0\n 0.5 3 2 1 3\n 0.5 3 -2 -1 -3\n"
)

PROCESSES = {
    "qcd": Process("dijets of quarks and gluons", ("HardQCD:all = on",), (0.75, 1.25)),
    "top": Process("pairs of tops, t -> b W -> b q q'", _TOPS, roots=(6,)),
    "w": Process(
        "W -> q q' and a jet", ("WeakBosonAndParton:qqbar2Wg = on", "WeakBosonAndParton:qg2Wq = on", *_quarks("24")), roots=(24,)
    ),
    "z": Process(
        "Z -> q q and a jet",
        ("WeakBosonAndParton:qqbar2gmZg = on", "WeakBosonAndParton:qg2gmZq = on", "WeakZ0:gmZmode = 2", *_quarks("23")),
        roots=(23,),
    ),
    "hbb": Process("H (125 GeV) -> b b and a jet", (*_HIGGS, "25:onIfAny = 5"), roots=(25,)),
    "gluon": Process("Z -> neutrinos and a gluon", ("WeakBosonAndParton:qqbar2gmZg = on", *_Z_UNSEEN), (0.8, 1.5), hardest=1),
    "quark": Process("Z -> neutrinos and a quark", ("WeakBosonAndParton:qg2gmZq = on", *_Z_UNSEEN), (0.8, 1.5), hardest=1),
    "resonance": Process(
        "a narrow scalar of 400 GeV -> two light quarks, and a jet",
        (*_HIGGS, "25:onIfAny = 1 2 3 4", *_HEAVY),
        roots=(25,),
    ),
    "gluino": Process(
        "pairs of gluinos of 400 GeV, each -> u d s (R-parity violated)",
        ("SUSY:gg2gluinogluino = on", "SUSY:qqbar2gluinogluino = on"),
        roots=(GLUINO,),
        slha=_RPV,
    ),
}

# Whole events. The hard process has a mass of 800 to 4000 GeV, for events to spare where a resonance is looked for: what
# its jets weigh falls smoothly from 1.1 TeV or so on. No limit of pT: 0 to 3 times that of any jet.
_MASS = ("PhaseSpace:mHatMin = 800", "PhaseSpace:mHatMax = 4000")
_ZPRIME = ("Zprime:gmZmode = 3", "32:m0 = 1500", "32:mMin = 1000", "32:mMax = 2000", "32:doForceWidth = on", "32:mWidth = 15")
_TO_TOPS = ("32:onMode = off", "32:onIfAny = 6")

PAIRS = {
    "ttbar": Process("pairs of tops of 800 GeV and more, t -> b W -> b q q'", (*_TOPS, *_MASS), hat=(0.0, 3.0), roots=(6,)),
    "zprime": Process(
        "Z' of 1500 GeV, 15 GeV wide, couplings of the Z -> t t, t -> b W -> b q q'",
        ("NewGaugeBoson:ffbar2gmZZprime = on", *_ZPRIME, *_TO_TOPS, *_quarks("24"), *_MASS),
        hat=(0.0, 3.0),
        roots=(6,),
    ),
}

"""JetClass (doi:10.5281/zenodo.6619768): ROOT files of ten kinds of jets, pT 500 to 1000 GeV, with particle ids and displacement.

``SOURCE.prepare("folder", "store")``. A file has one tree, with lists part_px, part_charge ..., numbers jet_pt ... and ten
label_ columns of which one is set. The store's deta and dphi, made anew, equal part_deta and part_dphi.
"""

from __future__ import annotations

from pathlib import Path

from data_prep.columns import open_table
from data_prep.jet_source import JetSource
from data_prep.table import TableFile

LABELS = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")
_PARTICLES = {
    **{name: f"part_{name}" for name in ("px", "py", "pz", "energy", "charge")},
    "is_charged_hadron": "part_isChargedHadron",
    "is_neutral_hadron": "part_isNeutralHadron",
    "is_photon": "part_isPhoton",
    "is_electron": "part_isElectron",
    "is_muon": "part_isMuon",
    **{"d0": "part_d0val", "d0_error": "part_d0err", "dz": "part_dzval", "dz_error": "part_dzerr"},
}
_JET = {name: name for name in ("jet_pt", "jet_eta", "jet_phi", "jet_energy")}
# Of the jet, as the files have them: soft-drop mass (GeV) and N-subjettiness.
_SUBSTRUCTURE = {f"event.file_{name}": f"jet_{name}" for name in ("sdmass", "tau1", "tau2", "tau3", "tau4")}
COLUMNS = _PARTICLES | _JET | _SUBSTRUCTURE


def open_file(path: Path) -> TableFile:
    return TableFile(open_table(path), COLUMNS, LABELS, one_hot=[f"label_{name}" for name in LABELS], what="a file of JetClass")


SOURCE = JetSource("jetclass", open_file, (".root",))

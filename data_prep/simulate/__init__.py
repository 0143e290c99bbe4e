"""Events made here: helices from a beam spot through the TrackML modules, read out as TrackML tables and files.

`simulate_event(event_id, pileup=, seed=)` gives one event in memory, `simulate(folder, events=, pileup=, seed=)` writes files.
"""

from data_prep.simulate.event import simulate_event
from data_prep.simulate.files import simulate

__all__ = ["simulate", "simulate_event"]

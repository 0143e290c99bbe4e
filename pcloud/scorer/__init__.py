"""The TrackML challenge metric: everything that turns hit-to-track assignments into the official figures, and back.

``score_event(truth, submission)`` is the score; the readers, the writer and ``validate_submission`` guard its files.
Needs numpy and pandas alone, so that scoring starts at once on any machine.
"""

from __future__ import annotations

from pcloud.scorer.matching import Majorities, group_codes, majorities, pair_codes
from pcloud.scorer.score import DatasetScore, score_dataset, score_event, score_tracks, throughput_score
from pcloud.scorer.submission import read_submission, tracks_of, validate_submission, write_submission
from pcloud.scorer.tables import (
    PARTICLES,
    TRUTH,
    integers,
    line_of,
    read_header,
    read_hit_ids,
    read_particles,
    read_table,
    read_truth,
)
from pcloud.scorer.weights import decode_particle_id, hit_weights

__all__ = [
    "PARTICLES",
    "TRUTH",
    "DatasetScore",
    "Majorities",
    "decode_particle_id",
    "group_codes",
    "hit_weights",
    "integers",
    "line_of",
    "majorities",
    "pair_codes",
    "read_header",
    "read_hit_ids",
    "read_particles",
    "read_submission",
    "read_table",
    "read_truth",
    "score_dataset",
    "score_event",
    "score_tracks",
    "throughput_score",
    "tracks_of",
    "validate_submission",
    "write_submission",
]

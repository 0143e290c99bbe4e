"""Tasks: what the encoders are for. Each is one short file that holds a head, a loss and the way to rows and figures.

``TASKS[name](encoder, **options)`` builds one; training and evaluation know nothing but the protocol.
"""

from __future__ import annotations

from pcloud.tasks.autoencoding import Autoencoding
from pcloud.tasks.following import TrackFollowing
from pcloud.tasks.image_autoencoding import ImageAutoencoding
from pcloud.tasks.protocol import Rows, Task, concatenate
from pcloud.tasks.tagging import Tagging
from pcloud.tasks.tracking import TrackFinding
from pcloud.tasks.triplets import TripletFinding

UNTRAINED = {"following"}  # with nothing to train
TASKS = {"autoencoding": Autoencoding, "tagging": Tagging, "tracking": TrackFinding}
# Built without an encoder: a model of their own.
WHOLE = {"following": TrackFollowing, "image-autoencoding": ImageAutoencoding, "triplets": TripletFinding}

__all__ = [
    "TASKS", "UNTRAINED", "WHOLE", "Autoencoding", "ImageAutoencoding", "Rows", "Tagging", "Task", "TrackFinding",
    "TrackFollowing", "TripletFinding", "concatenate",
]  # fmt: skip

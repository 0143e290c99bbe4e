"""Tasks: what the encoders are for. Each is one short file that holds a head, a loss and the way to rows and figures.

``TASKS[name](encoder, **options)`` builds one; training and evaluation know nothing but the protocol.
"""

from __future__ import annotations

from pcloud.tasks.following import TrackFollowing
from pcloud.tasks.protocol import Rows, Task, concatenate
from pcloud.tasks.tracking import TrackFinding

TASKS = {"tracking": TrackFinding}
UNTRAINED = {"following": TrackFollowing}  # built without an encoder: a model of its own, with nothing to train

__all__ = ["TASKS", "UNTRAINED", "Rows", "Task", "TrackFinding", "TrackFollowing", "concatenate"]

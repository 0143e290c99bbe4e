"""The README's picture, made the way a user makes one: simulate, predict, display; then fewer colours, to be small.

``python -m docs.picture [MODEL]`` writes docs/event.png, by default with the shipped model ``tracks``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image

from pcloud import cli

PICTURE = Path(__file__).resolve().parent / "event.png"
WIDTH = 1600  # pixels: legible on a page, and below 400 kB
EVENT = {"events": 1, "pileup": 1, "seed": 16}


def draw(model: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        cli.simulate(place / "raw", **EVENT)
        cli.predict(model, place / "raw", place / "found.csv", device="cpu")
        made = cli.display(place / "raw", submission=place / "found.csv", out=place, html=False)
        whole = Image.open(made[0]).convert("RGB")
        small = whole.resize((WIDTH, round(WIDTH * whole.height / whole.width)), Image.Resampling.LANCZOS)
        small.quantize(64, Image.Quantize.MAXCOVERAGE).save(PICTURE, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="tracks")
    draw(parser.parse_args().model)

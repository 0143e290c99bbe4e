"""What the measured rows say: tables to read, bars met or missed, and entries of results.json.

``shown(report)`` gives lines to print, ``keep(report)`` records; a report is what ``python -m benchmarks.neighbors`` writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.neighbor_clouds import CASES
from benchmarks.neighbor_peers import CUDA_PEERS, OURS, PEERS
from benchmarks.neighbor_timing import Row, spread
from benchmarks.record import Figure, record

TREES = ("cKDTree", "cKDTree, unbalanced")
# case -> (rivals of which the fastest counts, the most that our time may be of its time)
BARS: dict[str, list[tuple[tuple[str, ...], float]]] = {
    "jets": [((*TREES, "cKDTree, loop", "cdist+topk", "cdist+topk, compiled", "torch_cluster"), 0.6), (("KeOps",), 0.9)],
    "tracker": [(TREES, 1.1)],
    "embedded8": [(TREES, 1.1)],
    "radius3": [(TREES, 0.65)],
    "radius8": [(TREES, 0.65)],
    "radius12": [(TREES, 0.45)],
}
MEMORY_BAR = 1.5  # of the same rival's
GPU_BARS = {"jets": 0.05e-3, "tracker": 0.3e-3, "radius8": 0.6e-3, "radius12": 0.6e-3, "embedded8": 8e-3}  # seconds
GPU_TIMES = ("replay", "eager", "eager, unchecked")
SPREAD = "16-84% of {} {}"
HOW = (
    "each peer in a process of its own with pcloud, calls in turn after a warm-up; peers return k + 1 with the point itself, and "
    "dropping it is not in their time; a peer that takes over 8 s a call is called once; memory is the peak above what the "
    "process held before the call, after imports, input and a small call; recall on up to 500 points against float64"
)
GPU_HOW = (
    "replays of a CUDA graph by CUDA events, input warm in the cache; eager is wall time with a wait for the card; memory is the "
    "peak that torch allocated above what was held before the call; recall on up to 500 points against float64"
)


class Verdict(NamedTuple):
    """Our time over the rival's (median, 16%, 84%) and our memory over its; the rival is the fastest of those a bar names."""

    rival: str
    time: tuple[float, float, float]
    pairs: int
    memory: float | None
    bar: float

    def words(self) -> str:
        met = "met" if self.time[0] <= self.bar else "MISSED"
        memory = ""
        if self.memory is not None:
            memory = f"; memory {self.memory:.2f}, at most {MEMORY_BAR}: {'met' if self.memory <= MEMORY_BAR else 'MISSED'}"
        middle, low, high = self.time
        return f"{middle:.3f} [{low:.3f}, {high:.3f}] of {self.rival} (n={self.pairs}), at most {self.bar}: {met}{memory}"


def judged(case: str) -> set[str]:
    """The peers that a bar of this case names."""
    return {name for rivals, _ in BARS.get(case, []) for name in rivals}


def ratio(row: Row) -> tuple[float, float, float]:
    """Our seconds over the peer's, pair by pair: median, 16%, 84%."""
    return spread([a / b for a, b in zip(row["ours"], row["theirs"], strict=True)])


def verdicts(rows: list[Row]) -> list[Verdict]:
    """One for each bar of a case that was measured."""
    found = []
    own = next((row for row in rows if row["peer"] == OURS and "memory" in row), {})
    for rivals, bar in BARS.get(rows[0]["case"], []):
        timed = [row for row in rows if row["peer"] in rivals and row.get("theirs")]
        if timed:
            row = min(timed, key=lambda row: spread(row["theirs"])[0])
            known = own.get("memory") is not None and row["memory"]
            memory = own["memory"] / row["memory"] if known else None
            found.append(Verdict(row["peer"], ratio(row), len(row["theirs"]), memory, bar))
    return found


def by_case(report: Row) -> dict[str, list[Row]]:
    return {case: rows for case in CASES if (rows := [row for row in report["rows"] if row["case"] == case])}


def shown(report: Row) -> Iterator[str]:
    """The report in lines."""
    on_gpu = report["kind"] == "gpu"
    yield report["machine"]
    yield report["device"] if on_gpu else f"{report['threads']} threads; load of the machine before: {report['load']:.1f}"
    for case, rows in by_case(report).items():
        yield f"\n{case}: {CASES[case].title}{' (scaled)' * (report['scale'] != 1)}"
        yield from (_gpu_line(row, case) for row in rows) if on_gpu else _cpu_lines(rows)
    for row in report["growth"]:
        yield f"d={row.get('dim', '?')} {row.get('peer', '')}: " + (row.get("failed") or _sizes(row))


def _cpu_lines(rows: list[Row]) -> Iterator[str]:
    yield f"{'':26s}{'median':>12s}{'pcloud/it':>12s}{'16-84%':>16s}{'n':>4s}{'memory':>11s}{'recall':>9s}{'error':>9s}"
    for row in rows:
        if why := row.get("missing") or row.get("failed"):
            yield f"{row['peer']:26s}{why}"
            continue
        cells = f"{row['peer']:26s}"
        if row["peer"] == OURS:
            middle = spread(ours)[0] if (ours := _ours(rows)) else float("nan")
            cells += f"{_time(middle):>12s}{'':28s}{len(ours):4d}"
        else:
            middle, low, high = ratio(row)
            cells += f"{_time(spread(row['theirs'])[0]):>12s}{middle:12.3f}{f'{low:.3f}-{high:.3f}':>16s}{len(row['theirs']):4d}"
        cells += f"{_size(row['memory']):>11s}{row['recall']:9.5f}{row['error']:9.1e}"
        if row["peer"] == OURS:
            cells += f"  {row['path']}; {row['differing']} of {row['looked_at']} rows differ from the reference"
        yield cells
    yield from ("  bar: " + one.words() for one in verdicts(rows))


def _gpu_line(row: Row, case: str) -> str:
    if _lacks(row):
        return f"{row.get('peer', case):28s}{row.get('missing') or row['failed']}"
    times = [(row[kind], kind) for kind in GPU_TIMES if kind in row]
    cells = f"{row['peer']:28s}" + ", ".join(f"{_time(spread(seconds)[0])} {kind}" for seconds, kind in times)
    words = [_size(row["memory"]), *(row[key] for key in ("path", "trouble") if key in row)]
    if "recall" in row:
        words.append(f"recall {row['recall']:.5f}")
    if "differing" in row:
        words.append(f"{row['differing']} of {row['looked_at']} rows differ from the reference")
    for kind in [key for key in row if key.startswith("unequal")]:
        words.append(f"{kind}: " + ", ".join(f"{name} {number}" for name, number in row[kind].items()))
    if row["peer"] == OURS and case in GPU_BARS and "replay" in row:
        met = "met" if spread(row["replay"])[0] <= GPU_BARS[case] else "MISSED"
        words.append(f"bar {_time(GPU_BARS[case])}: {met}")
    return f"{cells}; " + "; ".join(words)


def keep(report: Row, command: str) -> None:
    """One entry a case, and one of the growth, in results.json."""
    on_gpu = report["kind"] == "gpu"
    # The machine that an entry names is the one that records it; a card's figures can come from another.
    where = f"; measured on {report['device']}, {report['machine']}" if on_gpu else f"; {report['threads']} threads"
    name = "neighbors-gpu" if on_gpu else "neighbors"
    for case, rows in by_case(report).items():
        figures = _gpu_figures(rows, case) if on_gpu else _cpu_figures(rows)
        left_out = [
            f"{row.get('peer', 'the rest')} ({'not installed' if 'missing' in row else 'failed'})" for row in rows if _lacks(row)
        ]
        cuts = (GPU_HOW if on_gpu else HOW) + ("; not measured: " + ", ".join(left_out) if left_out else "")
        if figures:
            title = f"neighbours{' on a GPU' * on_gpu}: {CASES[case].title}"
            record(f"{name}-{case}", figures, command, title=title, data=CASES[case].data + where, cuts=cuts)
    lines = [row for row in report["growth"] if row.get("seconds")]
    if lines:
        figures = {
            f"d={row['dim']}, {row['peer']}, N={row['points'][-1]:,}": Figure(1e3 * row["seconds"][-1], "ms", cuts=_sizes(row))
            for row in lines
        }
        title = f"neighbours{' on a GPU' * on_gpu}: time of one search against N, k = 16"
        cuts = "median of three calls after one (of replays on a GPU); a line ends before a cloud that would take over 2 s"
        record(f"{name}-growth", figures, command, title=title, data="synthetic: clouds that grow" + where, cuts=cuts)


def _cpu_figures(rows: list[Row]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    named = judged(rows[0]["case"])
    for row in [row for row in rows if not _lacks(row)]:
        if row["peer"] == OURS:
            if ours := _ours(rows):
                middle, low, high = (1e3 * one for one in spread(ours))
                words = f"path {row['path']}; {row['differing']} of {row['looked_at']} rows differ from the reference to the bit"
                figures["pcloud, time"] = Figure(middle, "ms", low, high, SPREAD.format(len(ours), "calls"), cuts=words)
            if row["memory"] is not None:
                figures["pcloud, peak memory"] = Figure(row["memory"] / 1e6, "MB")
            continue
        middle, low, high = ratio(row)
        times = f"{_time(spread(row['ours'])[0])} / {_time(spread(row['theirs'])[0])}"
        words = f"memory {_size(row['memory'])}; recall {row['recall']:.5f}; largest relative error {row['error']:.0e}"
        words += "; a bar names it" if row["peer"] in named else ""
        n = len(row["theirs"])
        span: dict[str, Any] = {"low": low, "high": high, "interval": SPREAD.format(n, "pairs")} if n > 1 else {}
        figures[f"time, pcloud / {row['peer']}"] = Figure(middle, counts=times, cuts=words + "; called once" * (n == 1), **span)
    for one in verdicts(rows):
        if one.memory is not None:
            figures[f"peak memory, pcloud / {one.rival}"] = Figure(one.memory, cuts="the fastest of the rivals that a bar names")
    return figures


def _gpu_figures(rows: list[Row], case: str) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for row in [row for row in rows if not _lacks(row)]:
        for kind in GPU_TIMES:
            if kind in row:
                middle, low, high = (1e3 * one for one in spread(row[kind]))
                span = SPREAD.format(len(row[kind]), "samples")
                words = f"recall {row['recall']:.5f}" if "recall" in row else row.get("path", "")
                figures[f"{row['peer']}, {kind}"] = Figure(middle, "ms", low, high, span, cuts=words)
        figures[f"{row['peer']}, peak memory"] = Figure(row["memory"] / 1e6, "MB")
        for kind in [key for key in row if key.startswith("unequal")]:
            counts = f"{sum(row[kind].values())} of {row['points']:,} rows"
            figures[f"{row['peer']}, rows {kind}"] = Figure(sum(row[kind].values()), counts=counts)
    return figures


def _lacks(row: Row) -> bool:
    return "missing" in row or "failed" in row


def _ours(rows: list[Row]) -> list[float]:
    """Our seconds beside every peer of the case."""
    return [one for row in rows for one in row.get("ours", [])]


def _sizes(row: Row) -> str:
    return "; ".join(f"N={points:,}: {_time(one)}" for points, one in zip(row["points"], row["seconds"], strict=True))


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} us"


def _size(memory: float | None) -> str:
    return "-" if memory is None else f"{memory / 1e6:.1f} MB"


assert judged("jets") <= set(PEERS) and "cdist+topk" in CUDA_PEERS, "a bar names a peer that is none"

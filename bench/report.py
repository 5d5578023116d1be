"""The figures as JSON and as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

from bench.hops import Hops
from bench.latency import Samples
from bench.processes import Memory

_MIB = 2**20


@dataclass
class Report:
    """What one run found; empty parts were not measured."""

    date: str
    machine: Mapping[str, Any]
    latency: list[Samples] = field(default_factory=list)
    growth: list[Samples] = field(default_factory=list)
    hops: Hops | None = None
    starts: tuple[list[float], list[float]] | None = None
    memory: tuple[dict[str, Memory], dict[str, Memory]] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return everything; times in milliseconds for turns and seconds for starts, memory in bytes."""
        return {
            "date": self.date, "machine": self.machine,
            "latency_ms": [summary(samples) for samples in self.latency], "growth_ms": [summary(samples) for samples in self.growth],
            "hops_ms": self.hops and self.hops.parts(),
            "start_seconds": self.starts and {"ours": self.starts[0], "stock": self.starts[1]},
            "memory_bytes": self.memory and {side: {name: asdict(each) for name, each in found.items()}
                                             for side, found in zip(("ours", "stock"), self.memory, strict=True)},
        }

    def as_markdown(self) -> str:
        """Return the tables."""
        parts = [_machine(self.date, self.machine)]
        if self.latency:
            parts.append("### A turn\n" + _turns(self.latency))
        if self.growth:
            parts.append("### As the conversation grows\n" + _turns(self.growth))
        if self.hops:
            parts.append("### Where our turn spends its time (medians, ms)\n" + _hops(self.hops))
        if self.starts:
            parts.append("### From start to the first answered message (s)\n" + _starts(*self.starts))
        if self.memory:
            parts.append("### Memory of each process after the run (MiB)\n" + _memory(*self.memory))
        return "\n\n".join(parts) + "\n"


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the percentile, interpolated between the two nearest samples."""
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def summary(samples: Samples) -> dict[str, Any]:
    """Return p50 and p95 of both sides in milliseconds, and their ratios (ours to stock: below 1 we are faster)."""
    found: dict[str, Any] = {"kind": samples.kind, "samples": len(samples.ours)}
    for percent in (50, 95):
        ours, stock = (percentile(values, percent) * 1000 for values in (samples.ours, samples.stock))
        found |= {f"ours_p{percent}": round(ours, 2), f"stock_p{percent}": round(stock, 2), f"ratio_p{percent}": round(ours / stock, 2)}
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table, its columns aligned for a terminal; all but the first are numbers."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["| " + " | ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]) + " |"
             for row in cells]
    rule = "|" + "|".join("-" * (width + 2) if index == 0 else "-" * (width + 1) + ":" for index, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _machine(date: str, machine: Mapping[str, Any]) -> str:
    changed = " with uncommitted changes" if machine["uncommitted_changes"] else ""
    versions = (f"{side}: {', '.join(f'{name} {version}' for name, version in machine[side].items())}" for side in ("ours", "stock"))
    return (
        f"Run of {date}, commit {machine['commit']}{changed}, on {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['kernel']}, load average at the start {' '.join(map(str, machine['load_average_at_start']))}.\n\n"
        + "\n".join(f"* {each}" for each in versions)
    )


def _turns(measured: Iterable[Samples]) -> str:
    head = ("turn (ms)", "ours p50", "stock p50", "ratio", "ours p95", "stock p95", "ratio", "samples")
    rows = []
    for found in map(summary, measured):
        times = [found[name] if name.startswith("ratio") else f"{found[name]:.1f}"
                 for name in ("ours_p50", "stock_p50", "ratio_p50", "ours_p95", "stock_p95", "ratio_p95")]
        rows.append((found["kind"], *times, found["samples"]))
    return table(head, rows)


def _hops(hops: Hops) -> str:
    head = ("turn", "whole", "actions", "Rasa itself", "reveal", "gateway, TLS, socket, client")
    return table(head, (
        (kind, *(f"{parts[name]:.1f}" for name in ("whole", "actions", "rasa", "reveal", "rest"))) for kind, parts in hops.parts().items()
    ))


def _starts(ours: Sequence[float], stock: Sequence[float]) -> str:
    return table(("side", "median", "all"), (
        (side, f"{median(times):.1f}", ", ".join(f"{each:.1f}" for each in times)) for side, times in (("ours", ours), ("stock", stock))
    ))


def _memory(ours: Mapping[str, Memory], stock: Mapping[str, Memory]) -> str:
    rows: list[Sequence[object]] = []
    for side, found in (("ours", ours), ("stock", stock)):
        rows += [(f"{side}: {name}", *_mib(each)) for name, each in found.items()]
        rows.append((f"{side}: together", *_mib(Memory(*(sum(getattr(each, kind) for each in found.values()) for kind in ("rss", "pss", "uss"))))))
    return table(("process", "RSS", "PSS", "USS"), rows)


def _mib(memory: Memory) -> tuple[int, int, int]:
    return round(memory.rss / _MIB), round(memory.pss / _MIB), round(memory.uss / _MIB)

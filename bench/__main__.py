"""`python -m bench`: run the benchmarks, print the tables, keep them in bench/results."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import hops, latency, machine, processes
from bench.our_side import OurSide
from bench.report import Report
from bench.stock_environment import ROOT, TOOLS, StockRasa, StockUnavailable
from bench.stock_side import StockSide
from bench.talk import WrongAnswer
from confide.rasa.model_archive import newest

RESULTS, PAGE = ROOT / "bench" / "results", ROOT / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- results: written by `make bench` -->\n", "<!-- end -->\n"
PARTS = ("latency", "start", "memory")


class TrainingFailed(Exception):
    """There is no model of ours to measure."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int = 200
    starts: int = 3
    #: Turns of a conversation around which its cost is measured, and in how many conversations.
    positions: tuple[int, ...] = (1, 100, 300)
    long_talks: int = 3
    hop_talks: int = 5


QUICK = Size(rounds=40, starts=1, positions=(1, 50), long_talks=1, hop_talks=1)


@click.command(help="Measure Confide against stock Rasa: time a turn, time to start, memory. See docs/benchmarks.md.")
@click.option("--quick", is_flag=True, help="A small run, to see that it works; its figures mean little and are not kept.")
@click.option("--rounds", type=click.IntRange(min=10), help="Turns of each kind (200).")
@click.option("--only", type=click.Choice(PARTS), help="Measure only this, and do not keep the result.")
def main(quick: bool, rounds: int | None, only: str | None) -> None:
    size = QUICK if quick else Size()
    size = Size(**{**size.__dict__, "rounds": rounds}) if rounds else size
    parts = (only,) if only else PARTS
    try:
        report = asyncio.run(run(size, parts))
    except (StockUnavailable, TrainingFailed, WrongAnswer) as error:
        print(f"bench: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    print(f"\n{report.as_markdown()}")
    if not quick and not only:
        print("bench: kept in " + " and ".join(str(path.relative_to(ROOT)) for path in keep(report)))


async def run(size: Size, parts: tuple[str, ...]) -> Report:
    """Set both sides up, measure, take them down. Raises StockUnavailable, TrainingFailed, WrongAnswer."""
    stock_rasa, model = StockRasa.ensure(), our_model()
    report = Report(datetime.now(UTC).strftime("%Y-%m-%d"), machine.facts(stock_rasa.python))
    async with both(stock_rasa, model) as (ours, stock):
        _say("starting both sides")
        starts = await processes.start_times(ours, stock, size.starts if "start" in parts else 1)
        report.starts = starts if "start" in parts else None
        if "latency" in parts:
            _say("turns")
            report.latency = await latency.measure(ours, stock, size.rounds)
            _say("growing conversations")
            report.growth = await latency.measure_growth(ours, stock, size.positions, size.long_talks)
            _say("hops")
            report.hops = await hops.measure(ours, size.hop_talks)
        if "memory" in parts:
            report.memory = processes.memory(ours.processes()), processes.memory(stock.processes())
    return report


def our_model() -> Path:
    """Return the model of the training files as they are, trained when there is none. Raises TrainingFailed."""
    # In a process of its own: Rasa in this one would share memory with the Rasa that is measured.
    models, var = TOOLS / "bench-models", TOOLS / "bench-var"
    environment = {**os.environ, "CONFIDE_MODEL": str(models), "CONFIDE_VAR": str(var)}
    done = subprocess.run(
        [sys.executable, "-m", "confide.rasa.train"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TrainingFailed(f"our model was not trained: {done.stderr[-2000:]}")
    return newest(models)


@asynccontextmanager
async def both(stock_rasa: StockRasa, model: Path) -> AsyncIterator[tuple[OurSide, StockSide]]:
    """Give both sides, stopped, in a folder of their own; whatever runs at the end is stopped."""
    with tempfile.TemporaryDirectory(prefix="confide-bench-") as folder:
        ours, stock = OurSide.make(Path(folder) / "ours", model), StockSide(stock_rasa, Path(folder) / "stock")
        try:
            yield ours, stock
        finally:
            await ours.close()
            ours.stop()
            stock.stop()


def keep(report: Report) -> tuple[Path, ...]:
    """Write the report as JSON and Markdown, and its tables into the page about them; return where."""
    RESULTS.mkdir(exist_ok=True)
    base = RESULTS / f"{report.date}-{report.machine['commit']}"
    written = base.with_suffix(".json"), base.with_suffix(".md")
    written[0].write_text(json.dumps(report.as_json(), indent=1) + "\n")
    written[1].write_text(f"# Benchmarks\n\n{report.as_markdown()}")
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    PAGE.write_text(f"{before}{_BEGIN}{report.as_markdown()}{_END}{rest.partition(_END)[2]}")
    return *written, PAGE


def _say(what: str) -> None:
    print(f"bench: {time.strftime('%H:%M:%S')} {what}", flush=True)


if __name__ == "__main__":
    main()

"""Run methods over suites: batched, resumable, cancellable; one row for each sample and method.

A run lives in a folder of its own, named by everything that decides its results:

    run.json       what is run, on what, with which versions
    parts/         one Parquet file for each finished batch; a kill loses the running batch alone
    results.parquet   all parts together, written at the end
    bad_rows.json  rows of a person's suite that could not be used, and why
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rfc8785
import torch

from r2t2_core import __version__
from r2t2_core.engine import Engine
from r2t2_core.errors import Cancelled, RunError
from r2t2_core.evaluation.bench import COLUMNS, Bench
from r2t2_core.evaluation.methods import Method
from r2t2_core.evaluation.suites import Suite, SuiteSample
from r2t2_core.i18n import N_
from r2t2_core.recording import LIBRARIES, library_versions

BATCH = 64
"""Samples in a batch. Fixed, since sums of floats depend on it."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Run:
    """A finished or unfinished run.

    Attributes
    ----------
    folder : Path
    about : mapping
        What `run.json` holds.
    """

    folder: Path
    about: Mapping[str, Any]

    @property
    def results(self) -> pd.DataFrame:
        """One row for each sample and method."""
        return pd.read_parquet(self.folder / "results.parquet")

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open a finished run.

        Raises
        ------
        RunError
            There is none, or it was not finished.
        """
        if not (folder / "results.parquet").is_file():
            raise RunError(
                N_("There is no finished run in {folder}."),
                N_("Run `r2t2 evaluate` first; --resume finishes one that was interrupted."),
                folder=str(folder),
            )
        return cls(folder, json.loads((folder / "run.json").read_text(encoding="utf-8")))


def choose_samples(suite: Suite, count: int | None, seed: int) -> tuple[SuiteSample, ...]:
    """Return all samples, or `count` of them drawn by the seed, in the suite's order."""
    if count is None or count >= len(suite):
        return suite.samples
    drawn = np.random.default_rng([seed, len(suite)]).permutation(len(suite))[:count]
    return tuple(suite.samples[row] for row in sorted(drawn.tolist()))


def share_limit(limit: int | None, suites: int) -> list[int | None]:
    """Part a limit evenly over suites; the first ones take what remains."""
    if limit is None:
        return [None] * suites
    return [limit // suites + (number < limit % suites) for number in range(suites)]


def evaluate(
    engine: Engine,
    suites: Sequence[Suite],
    methods: Sequence[Method],
    folder: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    resume: bool = False,
    progress: Progress = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Run:
    """Run methods over suites.

    Parameters
    ----------
    engine : Engine
    suites : sequence of Suite
    methods : sequence of Method
        The first is the router (`base`).
    folder : Path
        Runs are kept below it.
    limit : int, optional
        Samples in all, shared evenly over the suites.
    seed : int
        Of the samples that a limit draws, and of the random-neighbours control.
    resume : bool
        Keep the finished batches of an interrupted run; otherwise begin anew.
    progress : callable
        Called with samples done and samples in all.
    cancelled : callable
        Asked between batches.

    Raises
    ------
    Cancelled
        `cancelled()` said so; finished batches stay for `resume`.
    """
    shares = share_limit(limit, len(suites))
    chosen = [
        choose_samples(suite, share, seed) for suite, share in zip(suites, shares, strict=True)
    ]
    about = _describe(engine, suites, chosen, methods, limit, seed)
    run = Run(folder / str(about["key"])[:12], about)
    parts = run.folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    if not resume:
        for path in (*parts.iterdir(), run.folder / "results.parquet"):
            path.unlink(missing_ok=True)
    _write_text(run.folder / "run.json", json.dumps(about, indent=1, ensure_ascii=False))
    bench = Bench(engine, methods)
    total, done = sum(map(len, chosen)), 0
    progress(done, total)
    bad: list[dict[str, str]] = []
    for suite, samples in zip(suites, chosen, strict=True):
        bad += [{"suite": suite.name, "row": str(row.line), "reason": str(row.error)}
                for row in suite.bad_rows]  # fmt: skip
        for number, start in enumerate(range(0, len(samples), BATCH)):
            part = parts / f"{suite.name}-{number:05d}.parquet"
            batch = samples[start : start + BATCH]
            if not part.is_file():
                if cancelled():
                    raise Cancelled(N_("Cancelled."), N_("Finished batches are kept: resume."))
                rows, refused = bench.run(suite.name, batch)
                _write_frame(part, pd.DataFrame(rows, columns=COLUMNS), refused)
            done += len(batch)
            progress(done, total)
    bad += [refused for path in sorted(parts.glob("*.json"))
            for refused in json.loads(path.read_text(encoding="utf-8"))]  # fmt: skip
    _write_text(run.folder / "bad_rows.json", json.dumps(bad, indent=1, ensure_ascii=False))
    frames = [pd.read_parquet(path) for path in sorted(parts.glob("*.parquet"))]
    _write_frame(run.folder / "results.parquet", pd.concat(frames, ignore_index=True))
    return run


def _describe(
    engine: Engine,
    suites: Sequence[Suite],
    chosen: Sequence[Sequence[SuiteSample]],
    methods: Sequence[Method],
    limit: int | None,
    seed: int,
) -> dict[str, Any]:
    """Return everything that decides the results, and its hash as `key`."""
    manifest = engine.reference.manifest
    decides = {
        "schema_version": "1",
        "suites": [
            {"name": suite.name, "content_hash": suite.content_hash, "samples": len(samples)}
            for suite, samples in zip(suites, chosen, strict=True)
        ],
        "methods": [method.describe() for method in methods],
        "thresholds": engine.defaults.thresholds.model_dump(mode="json"),
        "limit": limit,
        "seed": seed,
        "batch": BATCH,
        "model": engine.model.name,
        "model_fingerprint": engine.model_fingerprint,
        "experts": list(engine.model.routing_spec.experts),
        "reference_set": manifest.name,
        "reference_hash": manifest.content_hash,
        "embedder_hash": engine.embedder.fingerprint(),
        "code_version": __version__,
        "libraries": library_versions(LIBRARIES),
        "device": engine.device,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
    }
    return {"key": hashlib.sha256(rfc8785.dumps(decides)).hexdigest(), **decides}


def _write_text(path: Path, text: str) -> None:
    """Write whole or not at all."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _write_frame(
    path: Path, frame: pd.DataFrame, refused: Sequence[Mapping[str, str]] | None = None
) -> None:
    """Write whole or not at all; what was refused first, so that a part never lacks it."""
    if refused:
        _write_text(path.with_suffix(".json"), json.dumps(list(refused), ensure_ascii=False))
    temporary = path.with_suffix(".tmp")
    frame.to_parquet(temporary, index=False)
    os.replace(temporary, path)


def finished_runs(folder: Path) -> Iterator[Run]:
    """Yield the finished runs below a folder, newest first."""
    found = sorted(folder.glob("*/results.parquet"), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in found:
        yield Run.open(path.parent)

"""`kill -9` at random moments: what was acknowledged is there, the chain verifies, work goes on."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from r2t2_core.audit.access import Principal
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.verification import verify
from r2t2_core.settings import Settings
from tests.audit.decisions import make_decision

WHO = Principal("writer", "local", "")


def write_until_killed(settings: Settings, told: int, target: int) -> None:
    """Record decision after decision; tell each one's identifier when it is acknowledged."""
    recorder = Recorder(settings)
    while recorder.log.count() < target:
        picture = os.urandom(64)
        decision = make_decision(picture=picture)
        recorder.record_decision(decision, picture, principal=WHO)
        os.write(told, (decision.id + "\n").encode())


def acknowledge(told: int, count: int) -> bytes:
    """Read until so many decisions were acknowledged, or the writer has ended."""
    data = b""
    while data.count(b"\n") < count and (more := os.read(told, 33)):
        data += more
    return data


def crash_loop(settings: Settings, target: int, seed: int) -> tuple[int, int]:
    """Start a writer and kill it, until there are `target` entries; return kills and entries."""
    draw, kills, acknowledged = random.Random(seed), 0, []
    Recorder(settings).log.database.prepare()
    while True:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            try:
                write_until_killed(settings, write, target)
            finally:
                os._exit(0)
        os.close(write)
        # Some acknowledged, the next one somewhere on its way: a slow machine changes nothing.
        before = acknowledge(read, draw.randrange(1, 6))
        time.sleep(draw.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        _pid, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
        with os.fdopen(read, "rb") as told:
            told_lines = (before + told.read()).split(b"\n")
        # What follows the last end of a line was cut off by the kill.
        acknowledged += [line.decode() for line in told_lines[:-1]]
        recorder = Recorder(settings)
        report = verify(recorder.log, recorder.pictures)
        assert report.ok, [str(p.error) for p in report.chain.problems + report.evidence.problems]
        for name in acknowledged:
            assert recorder.log.find(name).entry.entry_id == name
        recorder.log.database.close()
        if report.entries >= target:
            return kills, report.entries


def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "data", anchor_dir=tmp_path / "away", anchor_every=5)
    kills, entries = crash_loop(settings, target=20, seed=1)
    assert kills > 0
    assert entries >= 20


@pytest.mark.slow
def test_two_hundred_writes_under_fire(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "data", anchor_dir=tmp_path / "away", anchor_every=5)
    kills, entries = crash_loop(settings, target=200, seed=2)
    assert kills > 10
    assert entries >= 200

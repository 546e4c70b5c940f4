"""The same again: recompute a recorded decision from what was kept, and say how near it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from r2t2_core.audit.access import Principal
from r2t2_core.audit.comparison import Comparison, compare, produced_by
from r2t2_core.audit.entries import REPLAY, DecisionBody, HostRecord
from r2t2_core.audit.host import describe_host
from r2t2_core.audit.log import Recorded, Stored
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.restoring import decision_of
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import AuditError, Cancelled, WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy, parse_params

Verdict = Literal["bit_exact", "within_tolerance", "diverged", "not_replayable"]

NO_PICTURE = N_("The picture was erased or lost.")
NO_QUESTION = N_("The question was erased or lost.")
OTHER_MODEL = N_("The model of that time is not loaded; another one answered.")
OTHER_REFERENCE = N_("The reference set's version of that time is not loaded; another one served.")


@dataclass(frozen=True)
class Replay:
    """What a replay found.

    Attributes
    ----------
    verdict : str
    comparison : Comparison or None
        None where nothing could be computed.
    differs : mapping
        What the results hang on and is not as it was: name → (recorded, now).
    missing : tuple of str
        What was not there, or not in its version (message identifiers).
    problem : str or None
        What the engine complained of, in English.
    """

    verdict: Verdict
    comparison: Comparison | None
    differs: Mapping[str, tuple[str, str]]
    missing: tuple[str, ...] = ()
    problem: str | None = None


def retrieval_of(decision: Decision) -> RetrievalParams:
    """Return how the neighbours of a decision were found."""
    used = decision.reference
    given = {
        "policy": used.policy,
        "mode": used.retrieval,
        "n_neighbours": used.n_neighbours,
        "radius": used.radius,
        "kernel": used.kernel,
        "bandwidth_rule": used.bandwidth_rule,
        "duplicate_threshold": used.duplicate_threshold,
        "seed": decision.system.seed,
    }
    return RetrievalParams.parse({k: v for k, v in given.items() if v is not None})


def replay(recorder: Recorder, engine: Engine, name: str, principal: Principal) -> Replay:
    """Replay an entry, and record that it was, and what came of it.

    Raises
    ------
    AccessError
        The principal may not replay.
    AuditError
        There is no such entry, it is no decision, or the replay cannot be recorded.
    Cancelled
    """
    recorder.access.require(principal, "replay")
    stored = recorder.find(name, principal)
    found = _replay(recorder, engine, stored)
    _record(recorder, stored, found, principal)
    return found


def _replay(recorder: Recorder, engine: Engine, stored: Stored) -> Replay:
    decision = decision_of(stored)
    body = stored.entry.read(DecisionBody)
    picture = recorder.pictures.get(decision.input.image_sha256)
    missing = [
        text
        for text, is_missing in ((NO_PICTURE, picture is None), (NO_QUESTION, stored.text is None))
        if is_missing
    ]
    if picture is None or missing:
        return Replay("not_replayable", None, {}, tuple(missing))
    if decision.system.model_fingerprint_after != engine.model_fingerprint:
        missing.append(OTHER_MODEL)
    if decision.reference.content_hash != engine.reference.manifest.content_hash:
        missing.append(OTHER_REFERENCE)
    try:
        again = engine.answer(
            picture,
            decision.input.question,
            retrieval=retrieval_of(decision),
            parameters={
                record.strategy: parse_params(get_strategy(record.strategy), record.parameters)
                for record in decision.trajectories
            },
            strategies=[record.strategy for record in decision.trajectories],
            strategy=decision.strategy,
            label=decision.input.label,
        )
    except Cancelled:
        raise
    except WorkbenchError as error:
        # A model or a program of another time may not know an answer, or a parameter.
        return Replay(
            "not_replayable", None, _host_differs(body.host, engine), tuple(missing), str(error)
        )
    comparison = compare(decision, again)
    differs = {**produced_by(decision, again), **_host_differs(body.host, engine)}
    if comparison.is_exact:
        verdict: Verdict = "bit_exact"
    elif comparison.first is None:
        verdict = "within_tolerance"
    else:
        verdict = "diverged"
    return Replay(verdict, comparison, differs, tuple(missing))


def _host_differs(host: HostRecord | None, engine: Engine) -> dict[str, tuple[str, str]]:
    if host is None:
        return {}
    now = describe_host(engine)
    pairs = {
        "router": (host.router_fingerprint, now.router_fingerprint),
        "gate policy": (host.policy_version, now.policy_version),
        "code": (host.code_sha256, now.code_sha256),
        "determinism": (dict(host.determinism), dict(now.determinism)),
        "platform": (host.platform, now.platform),
    }
    return {name: (str(old), str(new)) for name, (old, new) in pairs.items() if old != new}


def _record(recorder: Recorder, stored: Stored, found: Replay, principal: Principal) -> Recorded:
    comparison = found.comparison
    first = comparison.first if comparison else None
    body = {
        "verdict": found.verdict,
        "largest_difference": comparison.largest if comparison else None,
        "largest_at": comparison.largest_at if comparison else None,
        "first_difference": None
        if first is None
        else {
            "stage": first.stage, "strategy": first.strategy, "step": first.step,
            "path": first.path, "recorded": first.recorded, "replayed": first.replayed,
        },
        "differs": {name: list(values) for name, values in found.differs.items()},
        "missing": list(found.missing),
        "problem": found.problem,
    }  # fmt: skip
    return recorder.record(
        REPLAY, body, principal=principal, permission="replay", subject=stored.entry.entry_id
    )


def parse_range(text: str, last: int) -> range:
    """Read `FROM-TO` (numbers of entries; either may be left out) as numbers up to the last.

    Raises
    ------
    AuditError
        It is not of this form.
    """
    first, dash, final = text.partition("-")
    if not dash or not all(not part or part.isdecimal() for part in (first, final)):
        raise AuditError(
            N_("{text} is no range of entries."), N_("Write it as 5-20, 5- or -20."), text=text
        )
    return range(max(int(first or 1), 1), min(int(final or last), last) + 1)

"""The one door to the log for whoever answers, evaluates, judges or watches.

    recorder = open_recorder(Settings.from_environment())
    who = recorder.access.identify(token)
    answered = recorder.answer(engine, picture, question, principal=who)

`answer` returns when the decision is on the disk. Thread-safe.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from r2t2_core.audit.access import Access, Permission, Principal
from r2t2_core.audit.entries import (
    CORRECTION,
    DECISION,
    EVALUATION,
    OVERRIDE,
    SIGN_OFF,
    CorrectionBody,
    EvaluationBody,
    OverrideBody,
    SignOffBody,
)
from r2t2_core.audit.host import describe_host, hash_neighbours
from r2t2_core.audit.log import AuditLog, Draft, Recorded, Stored, new_id, now
from r2t2_core.audit.pictures import PictureStore
from r2t2_core.decision import Decision, Record
from r2t2_core.engine import Engine
from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_
from r2t2_core.settings import Settings

HIDDEN = {"input": {"question", "question_sha256"}}
"""What of a decision never enters the chain."""


@dataclass(frozen=True)
class Answered:
    """A decision, and whether it is recorded.

    Attributes
    ----------
    decision : Decision
    recorded : Recorded or None
        None where it could not be recorded and the policy is to tell.
    problem : AuditError or None
        Why; whoever shows the decision must show this too.
    """

    decision: Decision
    recorded: Recorded | None
    problem: AuditError | None = None


class Recorder:
    """Records what is decided, by whom and what for.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = AuditLog(settings)
        self.pictures = PictureStore(settings.data_dir / "pictures")
        self.access = Access(settings, self.log)

    def answer(
        self,
        engine: Engine,
        image: bytes,
        question: str,
        *,
        principal: Principal,
        purpose: str = "",
        **options: Any,
    ) -> Answered:
        """Let the engine answer, and record the decision before anybody sees it.

        Parameters
        ----------
        engine : Engine
        image : bytes
            A picture file as it was received.
        question : str
        principal : Principal
            Who asks.
        purpose : str
            What for.
        **options
            As of `Engine.answer`.

        Raises
        ------
        AccessError
            The principal may not ask.
        AuditError
            The decision cannot be recorded, and the policy is strict.
        WorkbenchError
            As of `Engine.answer`.
        """
        self.access.require(principal, "answer")
        decision = engine.answer(image, question, **options)
        return self.keep(decision, image, engine=engine, principal=principal, purpose=purpose)

    def keep(
        self,
        decision: Decision,
        image: bytes,
        *,
        principal: Principal,
        engine: Engine | None = None,
        purpose: str = "",
    ) -> Answered:
        """Record a decision that was made, as the policy in force says.

        Raises
        ------
        AccessError
            The principal may not ask.
        AuditError
            It cannot be recorded, and the policy is strict.
        """
        try:
            recorded = self.record_decision(
                decision, image, engine=engine, principal=principal, purpose=purpose
            )
        except AuditError as error:
            if self.settings.audit_policy == "strict":
                raise AuditError(
                    N_("The decision could not be recorded, so it is not shown. {reason}"),
                    N_("R2T2_AUDIT_POLICY=tell shows such answers with a warning."),
                    reason=str(error),
                ) from error
            return Answered(decision, None, error)
        return Answered(decision, recorded, recorded.anchor_problem)

    def record_decision(
        self,
        decision: Decision,
        image: bytes,
        *,
        principal: Principal,
        engine: Engine | None = None,
        purpose: str = "",
    ) -> Recorded:
        """Record a decision; its picture and its question are kept beside the chain.

        Parameters
        ----------
        engine : Engine, optional
            What computed it, for the facts about the host; None where that is another machine.

        Raises
        ------
        AccessError
            The principal may not ask.
        AuditError
            It cannot be recorded, or the picture is another one.
        """
        self.access.require(principal, "answer")
        if hashlib.sha256(image).hexdigest() != decision.input.image_sha256:
            raise AuditError(N_("The picture is not the one that the decision is about."))
        self.pictures.put(image)
        body = {
            "decision": decision.model_dump(mode="json", exclude=HIDDEN),
            "host": None if engine is None else describe_host(engine).model_dump(mode="json"),
            "neighbour_pictures": hash_neighbours(
                decision, None if engine is None else engine.reference.root
            ),
        }
        return self.record(
            DECISION,
            body,
            principal=principal,
            permission="answer",
            purpose=purpose,
            started_at=decision.started_at,
            entry_id=decision.id,
            text=decision.input.question,
        )

    def record_evaluation(
        self,
        run: Mapping[str, Any],
        results: Path,
        scores: Sequence[Mapping[str, Any]],
        *,
        principal: Principal,
        purpose: str = "",
        started_at: str | None = None,
    ) -> Recorded:
        """Record a run of methods over suites as one entry.

        Parameters
        ----------
        run : mapping
            Everything that decides its results.
        results : Path
            Its Parquet file.
        scores : sequence of mapping
            What came of it, one for each suite and method.

        Raises
        ------
        AccessError
            The principal may not evaluate.
        AuditError
            It cannot be recorded.
        """
        body = EvaluationBody(
            run=_finite(dict(run)),
            results_sha256=hashlib.sha256(results.read_bytes()).hexdigest(),
            scores=tuple(_finite(dict(score)) for score in scores),
        )
        return self.record(
            EVALUATION,
            body.model_dump(mode="json"),
            principal=principal,
            permission="evaluate",
            purpose=purpose,
            started_at=started_at,
        )

    def record(
        self,
        kind: str,
        body: Record | Mapping[str, Any],
        *,
        principal: Principal,
        permission: Permission,
        purpose: str = "",
        subject: str | None = None,
        started_at: str | None = None,
        entry_id: str | None = None,
        text: str | None = None,
    ) -> Recorded:
        """Record anything: a what-if, a promotion of a reference set, an alert.

        Parameters
        ----------
        kind : str
            A word of small letters; see `entries` for those that there are.
        body : Record or mapping
            JSON that says what happened.
        permission : str
            What the principal must be allowed to do.
        subject : str, optional
            The entry that it is about.
        text : str, optional
            A question: kept beside the chain, where it can be erased.

        Raises
        ------
        AccessError
            The principal may not do this.
        AuditError
            It cannot be recorded.
        """
        self.access.require(principal, permission)
        given = body.model_dump(mode="json") if isinstance(body, Record) else body
        moment = now()
        return self.log.append(
            Draft(
                kind,
                given,
                principal.name,
                principal.role,
                principal.session,
                purpose,
                started_at or moment,
                moment,
                subject,
                entry_id or new_id(),
                text,
            )
        )

    def sign_off(
        self,
        name: str,
        verdict: Literal["approved", "rejected"],
        reason: str,
        *,
        principal: Principal,
    ) -> Recorded:
        """Record that a person has looked at an entry, and what they say.

        Raises
        ------
        AccessError, AuditError
        """
        stored = self.find(name, principal)
        body = _body(SignOffBody, decision=verdict, reason=reason.strip())
        return self.record(
            SIGN_OFF, body, principal=principal, permission="sign_off",
            subject=stored.entry.entry_id,
        )  # fmt: skip

    def override(self, name: str, answer: str, reason: str, *, principal: Principal) -> Recorded:
        """Record that a person sets another answer; the decision stays as it is.

        Raises
        ------
        AccessError, AuditError
        """
        stored = self.find(name, principal)
        if stored.entry.kind != DECISION:
            raise AuditError(
                N_("Entry {name} is no decision; only a decision has an answer to override."),
                name=name,
            )
        body = _body(OverrideBody, answer=answer.strip(), reason=reason.strip())
        return self.record(
            OVERRIDE, body, principal=principal, permission="override",
            subject=stored.entry.entry_id,
        )  # fmt: skip

    def correct(
        self, name: str, field: str, value: str, reason: str, *, principal: Principal
    ) -> Recorded:
        """Record that something in an entry is wrong; the entry stays as it is.

        Raises
        ------
        AccessError, AuditError
        """
        stored = self.find(name, principal)
        body = _body(CorrectionBody, field=field.strip(), value=value, reason=reason.strip())
        return self.record(
            CORRECTION, body, principal=principal, permission="correct",
            subject=stored.entry.entry_id,
        )  # fmt: skip

    def find(self, name: str, principal: Principal) -> Stored:
        """Return an entry by its identifier, the beginning of it, or its number.

        Raises
        ------
        AccessError
            The principal may not read the log.
        AuditError
            There is none.
        """
        self.access.require(principal, "read")
        return self.log.find(name)


@lru_cache(maxsize=4)
def open_recorder(settings: Settings) -> Recorder:
    """Return the process's one recorder for these settings."""
    return Recorder(settings)


def _body(model: type[Record], **values: object) -> Record:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        told = error.errors()[0]
        raise AuditError(
            N_("This cannot be recorded: {reason}."),
            N_("Correct it and try again."),
            reason=f"{'.'.join(map(str, told['loc']))}: {told['msg']}",
        ) from error


def _finite(value: Any) -> Any:
    """Return JSON in which what is no number is null."""
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

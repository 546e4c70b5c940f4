"""From an entry back to the decision that it holds, as pages and replays take it."""

from __future__ import annotations

import hashlib
import json

from pydantic import ValidationError

from r2t2_core.audit.entries import DECISION, DecisionBody
from r2t2_core.audit.log import Stored
from r2t2_core.decision import Decision
from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_


def decision_of(stored: Stored) -> Decision:
    """Return the decision of an entry; an erased question is empty.

    Raises
    ------
    AuditError
        The entry holds no decision, or one that this version cannot read.
    """
    if stored.entry.kind != DECISION:
        raise AuditError(N_("Entry {name} is no decision."), name=str(stored.entry.sequence))
    question = stored.text or ""
    hashed = hashlib.sha256(question.encode()).hexdigest() if question else ""
    try:
        whole = dict(stored.entry.read(DecisionBody).decision)
        whole["input"] = {**whole["input"], "question": question, "question_sha256": hashed}
        return Decision.model_validate_json(json.dumps(whole))
    except (ValidationError, KeyError, TypeError) as error:
        raise AuditError(
            N_("The decision of entry {name} cannot be read by this version of the program."),
            N_("Open it with the version that recorded it; the entry names it."),
            name=str(stored.entry.sequence),
        ) from error

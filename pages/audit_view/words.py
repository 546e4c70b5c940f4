"""Words for what the log holds as identifiers."""

from __future__ import annotations

from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _

KINDS = {
    "decision": N_("decision"),
    "what_if": N_("what-if"),
    "evaluation": N_("evaluation"),
    "replay": N_("replay"),
    "sign_off": N_("sign-off"),
    "override": N_("override"),
    "correction": N_("correction"),
    "erasure": N_("erasure"),
    "retention": N_("erasure by age"),
    "access": N_("token"),
    "reference_promotion": N_("reference set put into use"),
    "alert": N_("alert"),
}

VERDICTS = {
    "bit_exact": N_("The same, bit for bit."),
    "within_tolerance": N_("The same within the tolerance."),
    "diverged": N_("It came out differently."),
    "not_replayable": N_("It cannot be replayed."),
}

SIGN_OFFS = {"approved": N_("approved"), "rejected": N_("rejected")}


def kind_name(kind: str) -> str:
    """Return a kind in the active language; a third party's stands as it is."""
    return _(KINDS.get(kind, kind))


def moment(text: str) -> str:
    """Return a time in UTC, to the second."""
    return text[:19].replace("T", " ")

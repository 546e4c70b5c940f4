"""A permanent link: which decision, under which parameters, at which step.

A case of the gallery is named and answered again, which gives the same numbers; any other decision
is kept (`ExplanationStore`) and opened as it was. Parameters stand in the link where they differ
from what validation chose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from r2t2_core.errors import ParameterError
from r2t2_core.explain.store import IDENTIFIER
from r2t2_core.i18n import N_
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy, parse_params, strategies
from r2t2_core.strategies.base import Params

RETRIEVAL = "retrieval."
LONGEST = 400
"""A longer value is nobody's parameter."""


@dataclass(frozen=True)
class Link:
    """What a link says; what it leaves out is as validation chose it.

    Attributes
    ----------
    case : str or None
        Identifier of a gallery case.
    decision : str or None
        Identifier of a kept decision.
    strategy : str or None
        Whose answer counts.
    retrieval : mapping
        Parameter → value, as text.
    parameters : mapping
        Strategy → parameter → value, as text.
    shown : str or None
        The strategy whose steps are shown.
    step : int or None
    """

    case: str | None = None
    decision: str | None = None
    strategy: str | None = None
    retrieval: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shown: str | None = None
    step: int | None = None

    def retrieval_from(self, default: RetrievalParams) -> RetrievalParams:
        """Return how neighbours are found: the default, with what the link says.

        Raises
        ------
        ParameterError
            A parameter is unknown or out of its bounds.
        """
        return RetrievalParams.parse({**default.model_dump(), **self.retrieval})

    def parameters_from(self, strategy: str, default: Params) -> Params:
        """Return a strategy's parameters: the default, with what the link says.

        Raises
        ------
        ParameterError
            A parameter is unknown or out of its bounds.
        """
        given = self.parameters.get(strategy, {})
        return parse_params(get_strategy(strategy), {**default.model_dump(), **given})

    def query(self) -> dict[str, str]:
        """Return the link's query parameters."""
        plain = {
            "case": self.case,
            "decision": self.decision,
            "strategy": self.strategy,
            "shown": self.shown,
            "step": None if self.step is None else str(self.step),
        }
        found = {name: value for name, value in plain.items() if value is not None}
        found |= {f"{RETRIEVAL}{name}": value for name, value in self.retrieval.items()}
        for strategy, values in self.parameters.items():
            found |= {f"{strategy}.{name}": value for name, value in values.items()}
        return found


def changed(now: BaseModel, default: BaseModel) -> dict[str, str]:
    """Return the fields that differ from a default, as text."""
    values, usual = now.model_dump(), default.model_dump()
    return {name: str(value) for name, value in values.items() if value != usual[name]}


def read_link(query: Mapping[str, str]) -> Link | None:
    """Return what query parameters say; None where they name neither a case nor a decision.

    Raises
    ------
    ParameterError
        A name, an identifier, a strategy or a step cannot be.
    """
    if "case" not in query and "decision" not in query:
        return None
    known = strategies()
    for name in ("strategy", "shown"):
        if name in query and query[name] not in known:
            _refuse(name, query[name])
    if "decision" in query and not IDENTIFIER.fullmatch(query["decision"]):
        _refuse("decision", query["decision"])
    step = query.get("step")
    if step is not None and not (step.isascii() and step.isdigit() and len(step) < 4):
        _refuse("step", step)
    retrieval: dict[str, str] = {}
    parameters: dict[str, dict[str, str]] = {}
    for name, value in query.items():
        owner, dot, parameter = name.partition(".")
        if not dot:
            continue
        if len(value) > LONGEST:
            _refuse(name, value)
        if f"{owner}." == RETRIEVAL:
            retrieval[parameter] = value
        elif owner in known:
            parameters.setdefault(owner, {})[parameter] = value
        else:
            _refuse(name, value)
    return Link(
        case=query.get("case"),
        decision=query.get("decision"),
        strategy=query.get("strategy"),
        retrieval=retrieval,
        parameters=parameters,
        shown=query.get("shown"),
        step=None if step is None else int(step),
    )


def _refuse(name: str, value: str) -> None:
    raise ParameterError(
        N_("The link says {name} = {value}, which cannot be."),
        N_("Check the link, or open the page without it."),
        name=name[:60],
        value=value[:60],
    )

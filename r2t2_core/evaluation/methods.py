"""What can be evaluated: a strategy or a baseline, under a reference policy, with parameters.

Written as

    NAME[@POLICY][:PARAMETER=VALUE]…

for example `ngd`, `ngd@correct_only`, `kernel_regression:alpha_mode=search`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r2t2_core.defaults import Defaults
from r2t2_core.errors import ParameterError
from r2t2_core.evaluation.baselines import BASELINES
from r2t2_core.i18n import N_
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy, parse_params, strategies
from r2t2_core.strategies.base import Params

RETRIEVAL_FIELDS = frozenset(RetrievalParams.model_fields) - {"policy"}
"""Parameters of the retrieval may be named too, for ablations."""


@dataclass(frozen=True)
class Method:
    """A strategy or a baseline with all that it depends on.

    Attributes
    ----------
    spec : str
        As it was written; names the method in every table.
    name : str
        Strategy or baseline.
    retrieval : RetrievalParams
    params : Params or None
        None for baselines.
    """

    spec: str
    name: str
    retrieval: RetrievalParams
    params: Params | None

    @property
    def is_baseline(self) -> bool:
        """It is no strategy: it does not move the routing of the frozen model."""
        return self.params is None

    def describe(self) -> dict[str, object]:
        """Return everything that decides its results, as plain values."""
        return {
            "spec": self.spec,
            "name": self.name,
            "retrieval": self.retrieval.model_dump(mode="json"),
            "params": None if self.params is None else self.params.model_dump(mode="json"),
        }


def parse_method(spec: str, defaults: Defaults, seed: int = 0) -> Method:
    """Read a method.

    Parameters
    ----------
    spec : str
    defaults : Defaults
        What validation chose: the starting point.
    seed : int
        Of the random-neighbours control.

    Raises
    ------
    ParameterError
        The name, the policy or a parameter is unknown or out of its bounds.
    """
    head, *settings = spec.strip().split(":")
    name, _at, policy = head.partition("@")
    retrieval = defaults.retrieval.model_dump() | {"seed": seed}
    if policy:
        retrieval["policy"] = policy
    values: dict[str, object] = dict(defaults.parameters.get(name, {}))
    for setting in settings:
        field, equals, value = setting.partition("=")
        if not equals:
            raise ParameterError(
                N_("“{setting}” is not of the form PARAMETER=VALUE."),
                N_("Write for example {example}."),
                setting=setting,
                example="ngd:steps=20",
            )
        (retrieval if field in RETRIEVAL_FIELDS else values)[field] = value
    chosen = RetrievalParams.parse(retrieval)
    if name in BASELINES:
        if values:
            raise ParameterError(
                N_("{owner}: there is no parameter called {name}."),
                N_("Write for example {example}."),
                owner=name,
                name=next(iter(values)),
                example=name,
            )
        return Method(spec.strip(), name, chosen, None)
    if name not in strategies():
        raise ParameterError(
            N_("There is no strategy or baseline called {name}."),
            N_("Choose one of: {known}."),
            name=name,
            known=", ".join((*strategies(), *BASELINES)),
        )
    return Method(spec.strip(), name, chosen, parse_params(get_strategy(name), values))


def parse_methods(specs: Sequence[str], defaults: Defaults, seed: int = 0) -> tuple[Method, ...]:
    """Read several methods; the router itself always comes first, for comparison."""
    unique = dict.fromkeys(("base", *(spec.strip() for spec in specs if spec.strip())))
    return tuple(parse_method(spec, defaults, seed) for spec in unique)

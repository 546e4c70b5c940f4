"""Control: lower the entropy of the query's own answer. Needs no reference set and no label."""

from __future__ import annotations

from r2t2_core.i18n import N_
from r2t2_core.registry import register
from r2t2_core.strategies.descent import DescentParams, descend
from r2t2_core.types import RoutingProblem, Trajectory


class EntropyParams(DescentParams):
    """Parameters of the control: those of Neighbourhood Gradient Descent."""


@register(
    "entropy",
    title=N_("Entropy minimisation (control)"),
    summary=N_("Makes the model surer of its own answer: shows what the examples add."),
    params=EntropyParams,
    order=7,
    is_control=True,
)
def reroute(problem: RoutingProblem, params: EntropyParams) -> Trajectory:
    """Descend the entropy of the query's own answer."""
    return descend(problem, problem.own_entropy, params)

"""Neighbourhood Gradient Descent (paper, Eq. 1 and 3)."""

from __future__ import annotations

from r2t2_core.i18n import N_
from r2t2_core.registry import register
from r2t2_core.strategies.descent import DescentParams, descend
from r2t2_core.types import RoutingProblem, Trajectory


class NgdParams(DescentParams):
    """Parameters of Neighbourhood Gradient Descent."""


@register(
    "ngd",
    title=N_("Neighbourhood Gradient Descent"),
    summary=N_("Moves the routing downhill on the loss of the similar solved examples."),
    params=NgdParams,
    order=1,
)
def reroute(problem: RoutingProblem, params: NgdParams) -> Trajectory:
    """Descend the neighbours' surrogate loss at the query's routing."""
    return descend(problem, problem.surrogate_loss, params)

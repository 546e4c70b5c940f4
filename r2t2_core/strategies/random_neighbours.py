"""Control: the same descent at the same budget, over random reference samples.

Shows whether retrieval matters.
"""

from __future__ import annotations

from r2t2_core.i18n import N_
from r2t2_core.registry import register
from r2t2_core.strategies.descent import DescentParams, descend
from r2t2_core.types import RoutingProblem, Trajectory


class RandomNeighboursParams(DescentParams):
    """Parameters of the control: those of Neighbourhood Gradient Descent."""


@register(
    "random_neighbours",
    title=N_("Random neighbours (control)"),
    summary=N_("The same descent over random examples: shows whether similarity matters."),
    params=RandomNeighboursParams,
    order=6,
    is_control=True,
)
def reroute(problem: RoutingProblem, params: RandomNeighboursParams) -> Trajectory:
    """Descend the surrogate loss of random reference samples."""
    return descend(problem, problem.random_surrogate_loss, params)

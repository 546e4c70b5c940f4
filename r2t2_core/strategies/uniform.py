"""Control: equal weights for all experts of a gate."""

from __future__ import annotations

from r2t2_core.i18n import N_
from r2t2_core.registry import register
from r2t2_core.routing import uniform_routing
from r2t2_core.strategies.base import Params
from r2t2_core.strategies.path import straight_path
from r2t2_core.types import RoutingProblem, Trajectory


class UniformParams(Params):
    """Equal weights have no parameters."""


@register(
    "uniform",
    title=N_("Equal weights (control)"),
    summary=N_("Every expert gets the same weight: what routing is worth at all."),
    params=UniformParams,
    order=5,
    is_control=True,
)
def reroute(problem: RoutingProblem, params: UniformParams) -> Trajectory:
    """Go to equal weights in one step."""
    return straight_path(problem, uniform_routing(problem.routing, problem.spec), 1)

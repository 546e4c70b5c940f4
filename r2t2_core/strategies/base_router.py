"""The frozen router's own routing: no movement at all."""

from __future__ import annotations

from r2t2_core.i18n import N_
from r2t2_core.registry import register
from r2t2_core.strategies.base import Params
from r2t2_core.strategies.path import straight_path
from r2t2_core.types import RoutingProblem, Trajectory


class BaseParams(Params):
    """The router has no parameters."""


@register(
    "base",
    title=N_("Router as trained"),
    summary=N_("The frozen router's own routing, unchanged."),
    params=BaseParams,
    order=0,
    is_control=True,
)
def reroute(problem: RoutingProblem, params: BaseParams) -> Trajectory:
    """Stay where the router is."""
    return straight_path(problem, problem.routing.detach(), 1)

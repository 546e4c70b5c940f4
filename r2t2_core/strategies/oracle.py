"""The oracle: descent on the query's own label (paper, Eq. 2). A ceiling, never an answer."""

from __future__ import annotations

from r2t2_core.errors import ParameterError
from r2t2_core.i18n import N_
from r2t2_core.registry import register
from r2t2_core.strategies.descent import DescentParams, descend
from r2t2_core.types import RoutingProblem, Trajectory


class OracleParams(DescentParams):
    """Parameters of the oracle."""


@register(
    "oracle",
    title=N_("Oracle (sees the label)"),
    summary=N_("Descends on the right answer itself: how far re-routing could get at best."),
    params=OracleParams,
    order=4,
    needs_label=True,
    is_control=True,
)
def reroute(problem: RoutingProblem, params: OracleParams) -> Trajectory:
    """Descend the query's own loss; ParameterError where no label is known."""
    if problem.own_loss is None:
        raise ParameterError(
            N_("The oracle needs the right answer."),
            N_("Give the label, or choose another strategy."),
        )
    return descend(problem, problem.own_loss, params)

"""Mode Finding: mean shift in routing space (paper, Eq. 7 and 8).

Neighbours and kernel are found in routing space, anew at every step.
"""

from __future__ import annotations

import torch
from pydantic import Field

from r2t2_core.errors import Cancelled, NeighbourhoodError
from r2t2_core.i18n import N_
from r2t2_core.kernels import SMALLEST_BANDWIDTH, gaussian
from r2t2_core.registry import register
from r2t2_core.strategies.base import Params
from r2t2_core.strategies.path import trajectory_of
from r2t2_core.types import RoutingProblem, Tensor, Trajectory


class ModeFindingParams(Params):
    """Parameters of Mode Finding."""

    steps: int = Field(default=10, ge=1, le=50, description=N_("Number of steps (paper: 10)."))
    n_neighbours: int = Field(
        default=20, ge=1, le=200, description=N_("Nearest routings that are averaged at each step.")
    )
    alpha: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description=N_("Share of the present routing that each step keeps."),
    )
    tolerance: float = Field(
        default=1e-4,
        ge=0,
        le=1,
        description=N_("Stop when a step moves the routing less than this."),
    )


def usable(reference_routing: Tensor, excluded: Tensor) -> Tensor | None:
    """Return which reference routings (B, N), bool, each query may use; None where it is all.

    Parameters
    ----------
    reference_routing : Tensor (N, E)
    excluded : Tensor (B, L), int64
        Rows of `reference_routing` that a query may not use; -1 where padded.

    Raises
    ------
    NeighbourhoodError
        A query may use none.
    """
    if not bool((excluded >= 0).any()):
        return None
    hits = reference_routing.new_zeros((excluded.shape[0], reference_routing.shape[0]))
    hits.scatter_add_(1, excluded.clamp(min=0), (excluded >= 0).to(hits.dtype))
    allowed = hits == 0
    if not bool(allowed.any(1).all()):
        raise NeighbourhoodError(
            N_("The neighbourhood is empty."),
            N_("Use more neighbours, a wider radius, or another reference policy."),
        )
    return allowed


def shift(
    routing: Tensor, reference_routing: Tensor, allowed: Tensor | None, n_neighbours: int
) -> Tensor:
    """Return the kernel-weighted mean (B, E) of the nearest reference routings (paper, Eq. 7).

    Gaussian kernel; its bandwidth is the mean distance of the neighbours at this step.

    Parameters
    ----------
    routing : Tensor (B, E)
    reference_routing : Tensor (N, E)
    allowed : Tensor (B, N), bool, or None
        Which of them a query may use.
    n_neighbours : int
    """
    distances = torch.cdist(routing, reference_routing)
    if allowed is not None:
        distances = distances.masked_fill(~allowed, torch.inf)
    count = min(n_neighbours, reference_routing.shape[0])
    near, rows = distances.topk(count, dim=1, largest=False)
    if allowed is None:
        bandwidth = near.mean(1, keepdim=True)
    else:
        present = torch.isfinite(near)
        total = near.masked_fill(~present, 0).sum(1, keepdim=True)
        bandwidth = total / present.sum(1, keepdim=True)
    # The nearest lies within one mean distance, so that the weights never vanish all together.
    raw = gaussian(near / bandwidth.clamp(min=SMALLEST_BANDWIDTH))
    weights = raw / raw.sum(1, keepdim=True)
    return (weights[..., None] * reference_routing[rows]).sum(1)


@register(
    "mode_finding",
    title=N_("Mode Finding"),
    summary=N_("Climbs to where the reference set's routings are densest."),
    params=ModeFindingParams,
    order=3,
)
def reroute(problem: RoutingProblem, params: ModeFindingParams) -> Trajectory:
    """Iterate r ← α r + (1 − α) r̄ (paper, Eq. 8) until it stands still."""
    reference = problem.reference_routing
    if reference.shape[0] == 0:
        raise NeighbourhoodError(
            N_("The reference set holds no sample under this policy."),
            N_("Choose another reference policy."),
        )
    allowed = usable(reference, problem.reference_excluded)
    points = [problem.routing.detach()]
    sizes = [torch.zeros_like(points[0][:, 0])]
    active = torch.ones_like(sizes[0], dtype=torch.bool)
    for _ in range(params.steps):
        if problem.cancelled():
            raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))
        here = points[-1]
        if not bool(active.any()):
            points.append(here)
            sizes.append(torch.zeros_like(sizes[0]))
            continue
        there = params.alpha * here + (1 - params.alpha) * shift(
            here, reference, allowed, params.n_neighbours
        )
        points.append(torch.where(active[:, None], there, here))
        sizes.append(torch.where(active, 1 - params.alpha, 0.0).to(here.dtype))
        active = active & ((points[-1] - here).norm(dim=1) > params.tolerance)
    reasons = tuple("max_steps" if still else "converged" for still in active.tolist())
    return trajectory_of(problem, points, sizes, reasons)

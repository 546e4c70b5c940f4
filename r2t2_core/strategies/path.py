"""Trajectories of strategies that know their end point, or move without a gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from r2t2_core.strategies.descent import require_finite
from r2t2_core.types import AnalyticLoss, RoutingProblem, Tensor, Trajectory


def losses_along(problem: RoutingProblem, points: Tensor) -> Tensor:
    """Return the neighbours' surrogate loss (S, B) at points (S, B, E), to compare strategies."""
    loss = problem.surrogate_loss
    if isinstance(loss, AnalyticLoss):
        losses = loss.along(points)
    else:
        with torch.no_grad():
            losses = torch.stack([loss(point) for point in points])
    require_finite(losses)
    return losses


def trajectory_of(
    problem: RoutingProblem,
    points: Sequence[Tensor],
    sizes: Sequence[Tensor],
    reasons: tuple[str, ...],
) -> Trajectory:
    """Make a trajectory without gradients from its points (B, E) and step sizes (B,)."""
    places = torch.stack(list(points))
    losses = losses_along(problem, places)
    return Trajectory(
        places,
        losses,
        torch.stack(list(sizes)),
        torch.full_like(losses, torch.nan),
        reasons,
    )


def straight_path(problem: RoutingProblem, end: Tensor, pieces: int) -> Trajectory:
    """Walk from the router's routing to `end` (B, E) in equal pieces.

    A simplex is convex, so that every point between lies on it. The step size is the share of
    the way that a piece covers.
    """
    start = problem.routing.detach()
    share = torch.arange(1, pieces + 1, dtype=start.dtype, device=start.device) / pieces
    between = torch.lerp(start, end, share[:-1, None, None])
    points = torch.cat([start[None], between, end[None]])
    losses = losses_along(problem, points)
    sizes = torch.full_like(losses, 1 / pieces)
    sizes[0] = 0
    return Trajectory(
        points,
        losses,
        sizes,
        torch.full_like(losses, torch.nan),
        ("single_step",) * len(start),
    )

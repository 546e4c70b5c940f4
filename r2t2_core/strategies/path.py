"""Trajectories of strategies that know their end point, or move without a gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from r2t2_core.strategies.descent import require_finite
from r2t2_core.types import RoutingProblem, Tensor, Trajectory


def losses_along(problem: RoutingProblem, points: Sequence[Tensor]) -> Tensor:
    """Return the neighbours' surrogate loss (S, B) at points (B, E), to compare strategies."""
    with torch.no_grad():
        losses = torch.stack([problem.surrogate_loss(point) for point in points])
    require_finite(losses)
    return losses


def trajectory_of(
    problem: RoutingProblem,
    points: Sequence[Tensor],
    sizes: Sequence[Tensor],
    reasons: tuple[str, ...],
) -> Trajectory:
    """Make a trajectory without gradients from its points (B, E) and step sizes (B,)."""
    losses = losses_along(problem, points)
    return Trajectory(
        torch.stack(list(points)),
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
    points, sizes = [start], [torch.zeros_like(start[:, 0])]
    for piece in range(1, pieces + 1):
        share = piece / pieces
        points.append(end if piece == pieces else (1 - share) * start + share * end)
        sizes.append(torch.full_like(start[:, 0], 1 / pieces))
    return trajectory_of(problem, points, sizes, ("single_step",) * len(start))

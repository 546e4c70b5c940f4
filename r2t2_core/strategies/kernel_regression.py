"""Kernel Regression of the neighbours' routings (paper, Eq. 4 to 6)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from r2t2_core.errors import Cancelled
from r2t2_core.i18n import N_
from r2t2_core.registry import register
from r2t2_core.strategies.base import Params
from r2t2_core.strategies.descent import require_finite
from r2t2_core.strategies.path import straight_path
from r2t2_core.types import RoutingProblem, Tensor, Trajectory

GOLDEN = (5**0.5 - 1) / 2


class KernelRegressionParams(Params):
    """Parameters of Kernel Regression."""

    alpha_mode: Literal["fixed", "search"] = Field(
        default="fixed",
        description=N_("Fixed: α as given. Search: the α with the least loss of the neighbours."),
    )
    alpha: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=N_("Share of the router's own routing that is kept, when α is fixed."),
    )
    grid: int = Field(
        default=11, ge=2, le=101, description=N_("How many values of α the search tries first.")
    )
    refinements: int = Field(
        default=6, ge=0, le=30, description=N_("Golden-section steps around the best of them.")
    )
    path_steps: int = Field(
        default=10, ge=1, le=50, description=N_("Points at which the way is shown.")
    )


def regress(problem: RoutingProblem) -> Tensor:
    """Return r̂ (B, E), the kernel-weighted mean of the neighbours' routings (paper, Eq. 4)."""
    neighbours = problem.neighbours
    return (neighbours.weight[..., None] * neighbours.routing).sum(1)


def search_alpha(problem: RoutingProblem, mean: Tensor, grid: int, refinements: int) -> Tensor:
    """Return the α (B,) with the least surrogate loss of α r + (1 − α) r̂ (paper, Eq. 6).

    The paper searches by bisection; nothing says that the loss has one minimum in α, so a grid
    comes first, and golden-section steps around its best value are taken over only where they
    are no worse.
    """
    start = problem.routing.detach()

    def loss(alpha: Tensor) -> Tensor:
        value = problem.surrogate_loss(alpha[:, None] * start + (1 - alpha[:, None]) * mean)
        require_finite(value)
        return value

    with torch.no_grad():
        candidates = torch.linspace(0, 1, grid, dtype=start.dtype, device=start.device)
        losses = torch.stack([loss(value.expand(len(start))) for value in candidates])
        place = losses.argmin(0)
        best, least = candidates[place], losses.gather(0, place[None])[0]
        low, high = (
            candidates[(place - 1).clamp(min=0)],
            candidates[(place + 1).clamp(max=grid - 1)],
        )
        for _ in range(refinements):
            if problem.cancelled():
                raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))
            left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
            loss_left, loss_right = loss(left), loss(right)
            for alpha, value in ((left, loss_left), (right, loss_right)):
                best = torch.where(value < least, alpha, best)
                least = torch.minimum(value, least)
            shrink = loss_left < loss_right
            low, high = torch.where(shrink, low, left), torch.where(shrink, right, high)
    return best


@register(
    "kernel_regression",
    title=N_("Kernel Regression"),
    summary=N_("Takes the weighted mean of the routings that the similar examples used."),
    params=KernelRegressionParams,
    order=2,
)
def reroute(problem: RoutingProblem, params: KernelRegressionParams) -> Trajectory:
    """Move to α r + (1 − α) r̂ (paper, Eq. 5), shown in equal pieces of the way."""
    if problem.cancelled():
        raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))
    start, mean = problem.routing.detach(), regress(problem)
    if params.alpha_mode == "search":
        alpha = search_alpha(problem, mean, params.grid, params.refinements)[:, None]
    else:
        alpha = torch.full_like(start[:, :1], params.alpha)
    end = alpha * start + (1 - alpha) * mean
    return straight_path(problem, end, params.path_steps)

"""Gradient descent on routing weights, shared by the strategies that descend a loss.

Parametrisation: logits with a softmax in each block, so that every point lies on its
simplices. Optimiser: Adam (Kingma and Ba, 2015) or plain gradient descent; both act
elementwise, so the queries of a batch do not see each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field

from r2t2_core.errors import Cancelled, NeighbourhoodError
from r2t2_core.i18n import N_
from r2t2_core.routing import along_simplices, block_softmax, to_logits
from r2t2_core.strategies.base import Params
from r2t2_core.types import (
    AnalyticLoss,
    RoutingProblem,
    RoutingSpec,
    SurrogateLoss,
    Tensor,
    Trajectory,
)


class DescentParams(Params):
    """Parameters of a descent."""

    steps: int = Field(default=10, ge=1, le=50, description=N_("Number of steps (paper: 10)."))
    step_size: float = Field(
        default=0.5, gt=0, le=5, description=N_("First step size λ, on the logits of the routing.")
    )
    final_step_size: float = Field(
        default=0.0005, ge=0, le=5, description=N_("Last step size of the cosine schedule.")
    )
    optimiser: Literal["adam", "gradient"] = Field(
        default="adam", description=N_("Adam, or plain gradient descent.")
    )
    tolerance: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=N_("Stop when the gradient's norm falls below this; 0 runs all steps."),
    )


def cosine_step_sizes(params: DescentParams) -> list[float]:
    """Return the step sizes of a cosine schedule, first to last (paper, section 4.1)."""
    count = params.steps
    if count == 1:
        return [params.step_size]
    turns = torch.linspace(0, torch.pi, count, dtype=torch.float64)
    scale = (1 + torch.cos(turns)) / 2
    span = params.step_size - params.final_step_size
    return [params.final_step_size + span * float(value) for value in scale]


def descend(problem: RoutingProblem, loss: SurrogateLoss, params: DescentParams) -> Trajectory:
    """Descend a loss from the router's own routing (paper, Eq. 1 and 3).

    Parameters
    ----------
    problem : RoutingProblem
        B queries.
    loss : callable
        Routing (B, E) → loss (B,), differentiable.
    params : DescentParams

    Raises
    ------
    NeighbourhoodError
        The loss is not a finite number.
    Cancelled
        `problem.cancelled()` said so.
    """
    start = problem.routing.detach()
    evaluate = _evaluation(loss)
    logits = to_logits(start)
    # What the logits give: the start itself, but where a weight was raised from zero.
    weights = block_softmax(logits, problem.spec)
    routing, value, gradient = start, *evaluate(start)
    norm = _length(problem, gradient)
    points, losses, norms = [start], [value], [norm]
    first, second = torch.zeros_like(logits), torch.zeros_like(logits)
    active = torch.ones_like(value, dtype=torch.bool)
    moved = []
    step_sizes = cosine_step_sizes(params)
    for number, size in enumerate(step_sizes, start=1):
        if problem.cancelled():
            raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))
        active = active & (norm > params.tolerance)
        moved.append(active)
        slope = through_softmax(weights, gradient, problem.spec)
        if params.optimiser == "adam":
            first = torch.lerp(first, slope, 0.1)
            second = torch.lerp(second, slope * slope, 0.001)
            corrected = (second / (1 - 0.999**number)).sqrt_().add_(1e-8)
            slope = (first / (1 - 0.9**number)).div_(corrected)
        if bool(active.all()):
            logits = logits.sub(slope, alpha=size)
            weights = routing = block_softmax(logits, problem.spec)
        else:
            logits = torch.where(active[:, None], logits - size * slope, logits)
            weights = block_softmax(logits, problem.spec)
            routing = torch.where(active[:, None], weights, routing)
        value, gradient = evaluate(routing)
        norm = _length(problem, gradient)
        points.append(routing)
        losses.append(value)
        norms.append(norm)
    every_loss, every_norm = torch.stack(losses), torch.stack(norms)
    require_finite(every_loss)
    require_finite(every_norm)
    sizes = torch.tensor(step_sizes, dtype=value.dtype, device=value.device)[:, None]
    taken = torch.cat([torch.zeros_like(value)[None], torch.stack(moved) * sizes])
    reasons = tuple("max_steps" if still else "converged" for still in active.tolist())
    return Trajectory(torch.stack(points), every_loss, taken, every_norm, reasons)


def _evaluation(loss: SurrogateLoss) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return what gives a loss (B,) and its gradient (B, E) with respect to the routing weights."""
    if isinstance(loss, AnalyticLoss):
        return loss.with_gradient

    def by_autograd(routing: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            variable = routing.detach().clone().requires_grad_(True)
            value = loss(variable)
            (gradient,) = torch.autograd.grad(value.sum(), variable)
        return value.detach(), gradient

    return by_autograd


def _length(problem: RoutingProblem, gradient: Tensor) -> Tensor:
    """Return the norm (...) of the part along the simplices of gradients (..., E)."""
    length: Tensor = along_simplices(gradient, problem.spec).norm(dim=-1)
    return length


def through_softmax(weights: Tensor, gradient: Tensor, spec: RoutingSpec) -> Tensor:
    """Pull a gradient (B, E) with respect to the routing back to logits, block by block.

    `weights` (B, E) is the softmax of those logits.
    """
    parts = []
    for block in spec.blocks:
        part, slope = weights[:, block], gradient[:, block]
        parts.append(part * (slope - (part * slope).sum(1, keepdim=True)))
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def require_finite(values: Tensor) -> None:
    """Raise NeighbourhoodError where a loss or a gradient is not a finite number."""
    if not bool(torch.isfinite(values).all()):
        raise NeighbourhoodError(
            N_("The neighbours' loss is not a finite number."),
            N_("Check the reference set: its stored expert outputs or labels may be damaged."),
        )

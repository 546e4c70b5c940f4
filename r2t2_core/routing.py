"""Routing vectors: points of a product of simplices, one block for each gate.

Every function is pure and takes any leading batch dimensions. Routing vectors have
E entries in their last dimension, the blocks of all gates concatenated.
"""

from __future__ import annotations

import torch

from r2t2_core.errors import RoutingError
from r2t2_core.i18n import N_
from r2t2_core.types import RoutingSpec, Tensor

SMALLEST_WEIGHT = 1e-6
"""A weight below this is raised to it before the logarithm, so that an expert that was never used
can still be reached by descent."""


def check_routing(routing: Tensor, spec: RoutingSpec, atol: float = 1e-4) -> None:
    """Check that routing vectors (..., E) lie on their simplices.

    Raises
    ------
    RoutingError
        Wrong length, NaN or infinity, a negative weight, or a block that does not sum to one.
    """
    remedy = N_("Rebuild the reference set, or check the model's router.")
    if routing.shape[-1] != spec.size:
        raise RoutingError(
            N_("A routing vector has {got} weights where the model has {expected} experts."),
            remedy,
            got=routing.shape[-1],
            expected=spec.size,
        )
    if not bool(torch.isfinite(routing).all()):
        raise RoutingError(
            N_("A routing vector holds a weight that is not a finite number."), remedy
        )
    if bool((routing < -atol).any()):
        raise RoutingError(N_("A routing vector holds a negative weight."), remedy)
    for gate, block in zip(spec.gates, spec.blocks, strict=True):
        if bool(((routing[..., block].sum(-1) - 1).abs() > atol).any()):
            raise RoutingError(
                N_("The routing weights of the gate {gate} do not sum to one."),
                remedy,
                gate=gate.name,
            )


def block_softmax(logits: Tensor, spec: RoutingSpec) -> Tensor:
    """Softmax within each block of logits (..., E)."""
    if len(spec.gates) == 1:
        return logits.softmax(-1)
    return torch.cat([logits[..., block].softmax(-1) for block in spec.blocks], -1)


def to_logits(routing: Tensor) -> Tensor:
    """Return logits (..., E) whose block softmax is the routing, up to `SMALLEST_WEIGHT`."""
    return routing.clamp(min=SMALLEST_WEIGHT).log()


def project_top_k(routing: Tensor, spec: RoutingSpec) -> Tensor:
    """Keep each gate's k largest weights and let them sum to one; dense gates stay as they are.

    Where experts tie for the k-th place all of them stay, since nothing speaks for one of them;
    so equal weights for all stay equal weights for all.
    """
    parts = []
    for gate, block in zip(spec.gates, spec.blocks, strict=True):
        weights = routing[..., block]
        if gate.top_k is not None and gate.top_k < len(gate.experts):
            least = weights.topk(gate.top_k, dim=-1).values[..., -1:]
            kept = torch.where(weights >= least, weights, 0.0)
            weights = kept / kept.sum(-1, keepdim=True)
        parts.append(weights)
    return torch.cat(parts, -1)


def uniform_routing(like: Tensor, spec: RoutingSpec) -> Tensor:
    """Return equal weights in each block, in the shape, dtype and device of `like` (..., E)."""
    result = torch.empty_like(like)
    for block in spec.blocks:
        result[..., block] = 1 / (block.stop - block.start)
    return result


def along_simplices(direction: Tensor, spec: RoutingSpec) -> Tensor:
    """Return the part of a direction (..., E) that keeps every block's sum: its tangent part."""
    if len(spec.gates) == 1:
        return direction - direction.mean(-1, keepdim=True)
    parts = [direction[..., block] for block in spec.blocks]
    return torch.cat([part - part.mean(-1, keepdim=True) for part in parts], -1)


def entropy_bits(routing: Tensor, spec: RoutingSpec) -> Tensor:
    """Return the Shannon entropy in bits, summed over gates: (..., E) → (...)."""
    total = torch.zeros_like(routing[..., 0])
    for block in spec.blocks:
        weights = routing[..., block]
        total = total - torch.special.xlogy(weights, weights).sum(-1)
    return total / torch.log(torch.tensor(2.0, dtype=routing.dtype))


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Return the Euclidean distance of routing vectors: (..., E) → (...)."""
    length: Tensor = (first - second).norm(dim=-1)
    return length

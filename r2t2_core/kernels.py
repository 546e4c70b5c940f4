"""Kernels K(x_i, x) of a distance, and rules for their bandwidth (paper, section 3).

The paper gives no bandwidth; the rule in force was chosen on the validation split.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from r2t2_core.errors import NeighbourhoodError, ParameterError
from r2t2_core.i18n import N_
from r2t2_core.types import Tensor

SMALLEST_BANDWIDTH = 1e-6
"""Keeps the kernel defined when all neighbours are at distance zero."""


def gaussian(scaled: Tensor) -> Tensor:
    """Gaussian kernel of a scaled distance u = d / h: exp(−u² / 2)."""
    return torch.exp(-(scaled**2) / 2)


def laplacian(scaled: Tensor) -> Tensor:
    """Laplacian kernel: exp(−u)."""
    return torch.exp(-scaled)


def matern(scaled: Tensor) -> Tensor:
    """Matérn kernel of smoothness 3/2: (1 + √3 u) exp(−√3 u)."""
    root = math.sqrt(3) * scaled
    return (1 + root) * torch.exp(-root)


def linear(scaled: Tensor) -> Tensor:
    """Triangular kernel: 1 − u / 3, zero from three bandwidths on."""
    return (1 - scaled / 3).clamp(min=0)


def polynomial(scaled: Tensor) -> Tensor:
    """Epanechnikov kernel: 1 − (u / 3)², zero from three bandwidths on."""
    return (1 - (scaled / 3) ** 2).clamp(min=0)


KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "gaussian": gaussian,
    "matern": matern,
    "laplacian": laplacian,
    "linear": linear,
    "polynomial": polynomial,
}

BANDWIDTH_RULES = ("mean_distance", "median", "kth")


def choose_bandwidth(distance: Tensor, mask: Tensor, rule: str) -> Tensor:
    """Choose a bandwidth for each query.

    Parameters
    ----------
    distance : Tensor (B, K)
    mask : Tensor (B, K), bool
        False where padded.
    rule : str
        `mean_distance`, `median` or `kth` (the farthest neighbour's distance).

    Returns
    -------
    Tensor (B,)
        At least `SMALLEST_BANDWIDTH`.

    Raises
    ------
    ParameterError
        The rule is unknown.
    """
    if rule == "mean_distance":
        chosen = distance.masked_fill(~mask, 0).sum(1) / mask.sum(1).clamp(min=1)
    elif rule == "median":
        chosen = distance.masked_fill(~mask, math.nan).nanmedian(1).values.nan_to_num(0)
    elif rule == "kth":
        chosen = distance.masked_fill(~mask, 0).amax(1)
    else:
        raise ParameterError(
            N_("There is no bandwidth rule called {name}."),
            N_("Choose one of: {known}."),
            name=rule,
            known=", ".join(BANDWIDTH_RULES),
        )
    return chosen.clamp(min=SMALLEST_BANDWIDTH)


def kernel_weights(
    distance: Tensor, mask: Tensor, kernel: str = "gaussian", bandwidth_rule: str = "mean_distance"
) -> tuple[Tensor, Tensor]:
    """Return normalised kernel weights (B, K) and bandwidths (B,).

    Parameters
    ----------
    distance : Tensor (B, K)
        Distances of the neighbours, 0 or more.
    mask : Tensor (B, K), bool
        False where padded; such entries get weight 0.
    kernel : str
        A name in `KERNELS`.
    bandwidth_rule : str
        A name in `BANDWIDTH_RULES`.

    Raises
    ------
    ParameterError
        Kernel or rule is unknown.
    NeighbourhoodError
        A query has no neighbour, or a distance is not a finite number.
    """
    if kernel not in KERNELS:
        raise ParameterError(
            N_("There is no kernel called {name}."),
            N_("Choose one of: {known}."),
            name=kernel,
            known=", ".join(KERNELS),
        )
    if not bool(torch.isfinite(distance[mask]).all()):
        raise NeighbourhoodError(
            N_("The distance of a neighbour is not a finite number."),
            N_("Rebuild the reference set's embeddings."),
        )
    if not bool(mask.any(1).all()):
        raise NeighbourhoodError(
            N_("The neighbourhood is empty."),
            N_("Use more neighbours, a wider radius, or another reference policy."),
        )
    bandwidth = choose_bandwidth(distance, mask, bandwidth_rule)
    # Rounding can put a neighbour's similarity a hair above one.
    scaled = distance.clamp(min=0) / bandwidth[:, None]
    # The nearest neighbour serves as the origin where all weights would vanish.
    raw = KERNELS[kernel](scaled).masked_fill(~mask, 0)
    total = raw.sum(1, keepdim=True)
    nearest = torch.zeros_like(raw).scatter(
        1, scaled.masked_fill(~mask, math.inf).argmin(1, keepdim=True), 1.0
    )
    weights = torch.where(total > 0, raw / total.clamp(min=torch.finfo(raw.dtype).tiny), nearest)
    return weights, bandwidth

"""The smallest change of a routing that gives another answer.

Behind a sparse gate the answer depends on the top k alone, so that it is constant on cells of the
simplex: all routings with the same k heaviest experts in the same mix.

One gate that uses two experts: **cells**. Every pair of experts is tried with mixes on a grid, the
grid is refined around the best mixes, and for each mix that changes the answer the
nearest routing of its cell is computed exactly (a convex problem in one variable). What is
guaranteed: the routing that is returned lies on the simplex and gives another answer (the model
is asked again); no routing of a mix that was tried is nearer. A flip that happens only between two
mixes of the grid can be missed.

Every other topology: **rays**. Straight lines to routings spread over the product of simplices
(all corners, and low-discrepancy points), scanned and bisected for the first change of the answer.
What is guaranteed: the routing that is returned gives another answer; a smaller change may exist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import torch

from r2t2_core.types import RoutingSpec, Tensor

Ask = Callable[[Tensor], Tensor]
"""Routings (B, E) → answer probabilities (B, A)."""

Flips = Callable[[Tensor], Tensor]
"""Routings (B, E) → whether each gives an answer that is looked for (B,), bool."""

GRID = 80
"""Mixes of a pair: the heavier expert's share goes from a half to one in this many steps."""

REFINED = 20
"""Mixes between two neighbours of the grid, around the best of each pair."""

MARGIN = 1e-4
"""A third expert stays this much (relative) below the second, so that the gate's choice is clear
in single precision."""

RAYS = 1500
SCAN = 40
HALVINGS = 14
HALVINGS_OF_SCALE = 22


@dataclass(frozen=True)
class Found:
    """A routing (E,) that gives another answer, its distance, and how it was searched for."""

    routing: Tensor
    distance: float
    method: Literal["cells", "rays"]
    resolution: float | None
    tried: int


def nearest_flip(
    ask: Ask, spec: RoutingSpec, routing: Tensor, kept: int, wanted: int | None = None
) -> Found | None:
    """Return the smallest change of a routing (E,) that gives another answer than `kept`.

    None where no routing that was tried gives one.

    Parameters
    ----------
    ask : callable
    spec : RoutingSpec
    routing : Tensor (E,)
    kept : int
        Place of the answer under this routing.
    wanted : int, optional
        Place of the answer that is looked for; any other than `kept` by default.
    """

    def flips(routings: Tensor) -> Tensor:
        answers = ask(routings).argmax(1)
        return answers != kept if wanted is None else answers == wanted

    gate = spec.gates[-1]
    pairs = len(spec.gates) == 1 and gate.top_k == 2 and len(gate.experts) > 2
    return _by_cells(flips, routing) if pairs else _by_rays(flips, spec, routing)


def _by_cells(flips: Flips, routing: Tensor) -> Found | None:
    size = len(routing)
    # Ordered pairs: the first expert is the heavier one, or equal.
    pairs = np.array([p for a, b in combinations(range(size), 2) for p in ((a, b), (b, a))])
    shares = np.linspace(0.5, 1, GRID + 1)
    first, second, share = _candidates(pairs, np.broadcast_to(shares, (len(pairs), GRID + 1)))
    tried = len(share)
    near, distance = _nearest(flips, routing, first, second, share)
    if np.isfinite(distance).any():
        # A finer grid around the best mix of each pair that a finer mix could bring to the front.
        table = distance.reshape(len(pairs), -1)
        close = table.min(1) <= table.min() + 2 / GRID
        spread = np.linspace(-1, 1, 2 * REFINED + 1) * 0.5 / GRID
        finer = np.clip(shares[table[close].argmin(1)][:, None] + spread, 0.5, 1)
        first, second, share = _candidates(pairs[close], finer)
        tried += len(share)
        more, farther = _nearest(flips, routing, first, second, share)
        near, distance = np.concatenate([near, more]), np.concatenate([distance, farther])
    # Nearest first; the model is asked again about the routing itself.
    for place in np.argsort(distance, kind="stable"):
        if not np.isfinite(distance[place]):
            return None
        found = torch.from_numpy(near[place]).to(routing)
        if bool(flips(found[None])[0]):
            length = float((found - routing).norm())
            return Found(found, length, "cells", 0.5 / GRID / REFINED, tried)
    return None


def _candidates(pairs: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first experts, second experts and shares, flat, of pairs (P, 2) and shares (P, S)."""
    repeated = np.repeat(pairs, shares.shape[1], axis=0)
    return repeated[:, 0], repeated[:, 1], np.ascontiguousarray(shares).reshape(-1)


def _nearest(
    flips: Flips, routing: Tensor, first: np.ndarray, second: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest routings (C, E) of cells, and their distances; infinite without a flip."""
    count, size = len(share), len(routing)
    rows = np.arange(count)
    mixes = np.zeros((count, size))
    mixes[rows, first] += share
    mixes[rows, second] += 1 - share
    hit = np.flatnonzero(flips(torch.from_numpy(mixes).to(routing)).cpu().numpy())
    near, distance = np.zeros((count, size)), np.full(count, np.inf)
    if len(hit):
        start = routing.cpu().double().numpy()
        near[hit], distance[hit] = nearest_in_cells(start, first[hit], second[hit], share[hit])
    return near, distance


def nearest_in_cells(
    routing: np.ndarray, first: np.ndarray, second: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest point of each cell to a routing (E,): points (C, E), distances (C,).

    A cell is all q with q_first = s·p, q_second = s·(1 − p) for some s, and every other weight no
    more than the lighter of the two. For fixed s the others are a projection onto a box with a
    given sum; the squared distance is convex in s (partial minimum of a convex function), so that
    bisection of its slope finds the minimum.

    Parameters
    ----------
    routing : ndarray (E,)
        On the simplex.
    first, second : ndarray (C,), int
    share : ndarray (C,)
        p, from a half to one.
    """
    rows = np.arange(len(share))
    rest = np.ones((len(share), len(routing)), dtype=bool)
    rest[rows, first] = rest[rows, second] = False
    others = np.broadcast_to(routing, rest.shape)[rest].reshape(len(share), -1)
    ceiling = np.minimum(share, 1 - share) * (1 - MARGIN)

    # The least s that leaves room for the others, and all of it.
    low = 1 / (1 + others.shape[1] * ceiling)
    high = np.ones_like(low)
    for _ in range(HALVINGS_OF_SCALE):
        middle = (low + high) / 2
        rising = _slope(middle, others, routing[first], routing[second], share, ceiling) > 0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    scale = (low + high) / 2
    points = np.zeros(rest.shape)
    points[rest] = _onto_box(others, scale * ceiling, 1 - scale)[0].reshape(-1)
    points[rows, first] = scale * share
    points[rows, second] = scale * (1 - share)
    distance: np.ndarray = np.linalg.norm(points - routing, axis=1)
    return points, distance


def _slope(
    scale: np.ndarray,
    others: np.ndarray,
    heavy: np.ndarray,
    light: np.ndarray,
    share: np.ndarray,
    ceiling: np.ndarray,
) -> np.ndarray:
    """Return half the derivative of a cell's squared distance in s (envelope theorem)."""
    _filled, shift = _onto_box(others, scale * ceiling, 1 - scale)
    pressed = np.maximum(others + shift[:, None] - (scale * ceiling)[:, None], 0).sum(1)
    own = share * (scale * share - heavy) + (1 - share) * (scale * (1 - share) - light)
    slope: np.ndarray = own - shift - ceiling * pressed
    return slope


def _onto_box(
    values: np.ndarray, ceiling: np.ndarray, total: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Project rows (C, n) onto {0 ≤ q ≤ ceiling, Σ q = total}; return q and λ (C,).

    q = clip(v + λ, 0, ceiling); its sum is piecewise linear and rising in λ, so that λ lies between
    two of the 2 n places where it bends.
    """
    bends = np.sort(np.concatenate([-values, ceiling[:, None] - values], 1), axis=1)
    sums = np.clip(values[:, None, :] + bends[:, :, None], 0, ceiling[:, None, None]).sum(2)
    above = np.clip((sums < total[:, None]).sum(1), 1, bends.shape[1] - 1)
    rows = np.arange(len(values))
    low, high = bends[rows, above - 1], bends[rows, above]
    under, over = sums[rows, above - 1], sums[rows, above]
    rise = np.where(over > under, over - under, 1)
    shift = low + np.clip((total - under) / rise, 0, 1) * (high - low)
    return np.clip(values + shift[:, None], 0, ceiling[:, None]), shift


def _by_rays(flips: Flips, spec: RoutingSpec, routing: Tensor) -> Found | None:
    ends = _spread_over(spec, routing)
    shares = torch.linspace(1 / SCAN, 1, SCAN).to(routing)

    def at(chosen: Tensor, share: Tensor) -> Tensor:
        return routing + share[:, None] * (chosen - routing)

    everywhere = at(ends.repeat_interleave(SCAN, 0), shares.repeat(len(ends)))
    seen = flips(everywhere).reshape(len(ends), SCAN)
    hit = seen.any(1)
    if not bool(hit.any()):
        return None
    chosen = ends[hit]
    place = seen[hit].float().argmax(1)
    high = shares[place]
    low = high - 1 / SCAN
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        other = flips(at(chosen, middle))
        low, high = torch.where(other, low, middle), torch.where(other, middle, high)
    found = at(chosen, high)
    distance = (found - routing).norm(dim=1)
    best = int(distance.argmin())
    return Found(found[best], float(distance[best]), "rays", None, len(everywhere))


def _spread_over(spec: RoutingSpec, like: Tensor) -> Tensor:
    """Return routings (n, E) over the product of simplices: corners of each gate with the others
    as they are, and scrambled Sobol points turned into exponential spacings."""
    corners = []
    for block in spec.blocks:
        for place in range(block.start, block.stop):
            corner = like.clone()
            corner[block] = 0
            corner[place] = 1
            corners.append(corner)
    sobol = torch.quasirandom.SobolEngine(spec.size, True, 0)  # type: ignore[no-untyped-call]
    spacings = -sobol.draw(RAYS).to(like).clamp(1e-6, 1 - 1e-6).log()
    parts = [spacings[:, block] / spacings[:, block].sum(1, keepdim=True) for block in spec.blocks]
    return torch.cat([torch.stack(corners), torch.cat(parts, 1)])

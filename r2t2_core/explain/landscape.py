"""The surrogate loss between the router's routing and the neighbours' mean, and flat views of
where routings lie."""

from __future__ import annotations

import numpy as np
import torch

from r2t2_core.analysis import LandscapePoint, PlaneRecord
from r2t2_core.explain.causes import Moved
from r2t2_core.explain.evidence import Evidence
from r2t2_core.types import RoutingSpec, Tensor

POINTS = 41
CELLS = 24
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

CORNERS_OF_THREE = np.array([[-0.5, -(3**0.5) / 6], [0.5, -(3**0.5) / 6], [0.0, 3**0.5 / 3]])
"""An equilateral triangle around (0, 0)."""


def neighbours_mean(evidence: Evidence) -> Tensor:
    """Return r̂ (E,), the kernel-weighted mean of the neighbours' routings (paper, Eq. 4)."""
    near = evidence.neighbours
    return (near.weight[0][:, None] * near.routing[0]).sum(0)


def landscape(evidence: Evidence, moved: Moved) -> tuple[LandscapePoint, ...]:
    """Return loss and answers along the straight line from r to r̂ (paper, Eq. 5)."""
    shares = torch.linspace(0, 1, POINTS).to(moved.start)[:, None]
    line = (1 - shares) * moved.start + shares * neighbours_mean(evidence)
    problem = evidence.problem(evidence.neighbours.weight.expand(POINTS, -1))
    with torch.no_grad():
        losses = problem.surrogate_loss(line)
    probabilities = evidence.answers(line)
    return tuple(
        LandscapePoint(
            share=float(shares[row, 0]),
            routing=tuple(line[row].tolist()),
            surrogate_loss=float(losses[row]),
            before=float(probabilities[row, moved.answer_before]),
            after=float(probabilities[row, moved.answer_after]),
            answer=evidence.model.answers[int(probabilities[row].argmax())],
        )
        for row in range(POINTS)
    )


def planes(reference: np.ndarray, spec: RoutingSpec) -> tuple[PlaneRecord, ...]:
    """Return a flat view of each gate, with the density of the reference set's routings in it.

    A gate of three experts is shown whole (ternary). Another one is shown along the two directions
    in which the reference set's routings differ most (principal components).

    Parameters
    ----------
    reference : ndarray (N, E)
    spec : RoutingSpec
    """
    views = []
    for gate, block in zip(spec.gates, spec.blocks, strict=True):
        if len(gate.experts) < 2:
            continue
        views.append(_plane(gate.name, reference[:, block].astype(np.float64)))
    return tuple(views)


def _plane(gate: str, weights: np.ndarray) -> PlaneRecord:
    size = weights.shape[1]
    if size == 3:
        centre, axes, explained = np.full(3, 1 / 3), CORNERS_OF_THREE.T, 1.0
    else:
        centre = weights.mean(0)
        axes, explained = _principal(weights - centre)
    corners = (np.eye(size) - centre) @ axes.T
    places = (weights - centre) @ axes.T
    # Wide enough for every expert's corner, so that all strategies fit.
    low, high = corners.min(0), corners.max(0)
    edges = [np.linspace(a - 0.03, b + 0.03, CELLS + 1) for a, b in zip(low, high, strict=True)]
    counts, _, _ = np.histogram2d(places[:, 0], places[:, 1], bins=edges)
    return PlaneRecord(
        gate=gate,
        kind="ternary" if size == 3 else "pca",
        centre=tuple(centre.tolist()),
        axes=(tuple(axes[0].tolist()), tuple(axes[1].tolist())),
        explained=explained,
        corners=tuple((float(x), float(y)) for x, y in corners),
        x_edges=tuple(edges[0].tolist()),
        y_edges=tuple(edges[1].tolist()),
        density=tuple(tuple(int(value) for value in row) for row in counts.T),
        quantiles=tuple(tuple(row) for row in np.quantile(weights, QUANTILES, axis=0).tolist()),
        size=len(weights),
    )


def _principal(centred: np.ndarray) -> tuple[np.ndarray, float]:
    """Return two orthonormal directions (2, E) of most variance, and the share that they show."""
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    axes = directions[:2]
    if len(axes) < 2:
        # One sample, or two experts: the second direction is empty.
        axes = np.vstack([axes, np.zeros((2 - len(axes), centred.shape[1]))])
    # Signs of an SVD are arbitrary: the largest entry points up, so that views do not turn over.
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])
    total = float((sizes**2).sum())
    explained = float((sizes[:2] ** 2).sum()) / total if total > 0 else 1.0
    return axes * np.where(signs == 0, 1, signs)[:, None], min(1.0, explained)


def place_in(plane: PlaneRecord, block: tuple[float, ...]) -> tuple[float, float]:
    """Return where a gate's weights stand in its flat view."""
    difference = np.array(block) - np.array(plane.centre)
    x, y = (float(np.dot(axis, difference)) for axis in plane.axes)
    return x, y

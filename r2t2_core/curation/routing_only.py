"""Re-route with a set that holds routings alone: Mode Finding, Kernel Regression with α = 0.

Without expert outputs there is no loss of the neighbours under a routing. In its place stands what
Kernel Regression itself minimises: the kernel-weighted squared distance to their routings.
"""

from __future__ import annotations

import numpy as np
import torch

from r2t2_core.errors import ParameterError
from r2t2_core.i18n import N_
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.registry import get_strategy
from r2t2_core.strategies.base import Params
from r2t2_core.types import Neighbours, RoutingProblem, SurrogateLoss, Tensor, Trajectory

STRATEGIES = ("kernel_regression", "mode_finding")


def squared_distance(neighbours: Neighbours) -> SurrogateLoss:
    """Return routing (B, E) → kernel-weighted squared distance to the neighbours' (B,)."""

    def loss(routing: Tensor) -> Tensor:
        squares = ((routing[:, None, :] - neighbours.routing) ** 2).sum(-1)
        return (squares * neighbours.weight).sum(1)

    return loss


def reroute_by_routings(
    index: ReferenceIndex,
    embeddings: np.ndarray,
    routing: Tensor,
    strategy: str,
    params: Params,
    retrieval: RetrievalParams,
) -> Trajectory:
    """Re-route B queries by the routings of their neighbours.

    Parameters
    ----------
    index : ReferenceIndex
        Of a set that may hold routings alone.
    embeddings : ndarray (B, d), float32
        Task embeddings of the questions, of unit length.
    routing : Tensor (B, E)
        The model's own.
    strategy : str
        One of `STRATEGIES`.
    params : Params
        Of the strategy; α must be fixed.
    retrieval : RetrievalParams

    Raises
    ------
    ParameterError
        The strategy needs a loss.
    """
    if strategy not in STRATEGIES or getattr(params, "alpha_mode", "fixed") != "fixed":
        raise ParameterError(
            N_("{strategy} needs the neighbours' loss, which routings alone cannot give."),
            N_("Choose one of: {known}; α must be fixed."),
            strategy=strategy,
            known=", ".join(STRATEGIES),
        )
    features = np.zeros((len(embeddings), index.reference.image_features.shape[1]), np.float32)
    found = index.retrieve(embeddings, features, retrieval)
    near = squared_distance(found.neighbours)
    problem = RoutingProblem(
        spec=index.reference.manifest.routing_spec,
        routing=routing,
        neighbours=found.neighbours,
        surrogate_loss=near,
        random_neighbours=found.random_neighbours,
        random_surrogate_loss=squared_distance(found.random_neighbours),
        reference_routing=index.admitted_routing(retrieval.policy),
        reference_excluded=torch.from_numpy(found.duplicates),
        own_entropy=lambda moved: torch.zeros(len(moved)),
    )
    return get_strategy(strategy).reroute(problem, params)

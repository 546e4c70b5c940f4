"""Harm: samples that, as neighbours, break more answers than they repair.

Leave-one-out influence: each neighbour of each question is taken away in turn, Kernel Regression
(α = 0) is computed from the others, and it is noted whether the answer becomes right or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from r2t2_core.curation.checks.finding import (
    Finding,
    Sentence,
    Thresholds,
    grade,
    not_assessed,
)
from r2t2_core.curation.checks.neighbourhood import Bench
from r2t2_core.evaluation.prepared import PreparedSuite, find
from r2t2_core.i18n import N_
from r2t2_core.models.base import Prepared

BATCH = 100

FIGURE = N_("share of the samples that served, which break more than they repair")

FEW = N_("{count} of {served} samples that served ({share:.1%}) break more answers than they "
         "repair.")  # fmt: skip
MANY = N_(
    "{count} of {served} samples that served ({share:.1%}) break more answers than they repair: "
    "without them more would be right."
)
RETIRE = N_("Retire them: `r2t2 reference refresh --retire`, judged on a hold-out suite.")
NO_SUITE = N_("No suite was given.")


@dataclass(frozen=True)
class Influence:
    """What samples do as neighbours: arrays (N,), one entry for each row of the set.

    Attributes
    ----------
    served : ndarray
        Questions in whose neighbourhood the row stood.
    repairs : ndarray
        Questions that are right with it and wrong without.
    breaks : ndarray
        Questions that are wrong with it and right without.
    """

    served: np.ndarray
    repairs: np.ndarray
    breaks: np.ndarray

    @property
    def harmful(self) -> np.ndarray:
        """Rows that break more than they repair, the worst first."""
        net = self.breaks - self.repairs
        rows = np.flatnonzero(net > 0)
        ordered: np.ndarray = rows[np.argsort(-net[rows], kind="stable")]
        return ordered


def measure_influence(bench: Bench, suites: Sequence[PreparedSuite]) -> Influence:
    """Measure the leave-one-out influence of every sample over suites."""
    size = len(bench.reference)
    served, repairs, breaks = (np.zeros(size, dtype=np.int64) for _number in range(3))
    for suite in suites:
        for start in range(0, len(suite), BATCH):
            chosen = slice(start, min(start + BATCH, len(suite)))
            index, with_all, without = _answers(bench, suite, chosen)
            labels = suite.labels[chosen].numpy()[:, None]
            present = index >= 0
            right_with, right_without = with_all[:, None] == labels, without == labels
            np.add.at(served, index[present], 1)
            np.add.at(repairs, index[present & right_with & ~right_without], 1)
            np.add.at(breaks, index[present & ~right_with & right_without], 1)
    return Influence(served, repairs, breaks)


def _answers(
    bench: Bench, suite: PreparedSuite, chosen: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return neighbours (B, K), answers with all of them (B,), and without each (B, K)."""
    prepared = suite.rows(chosen)
    neighbours = find(bench.index, suite, chosen, bench.retrieval).neighbours
    weight, routing = neighbours.weight, neighbours.routing
    total = (weight[..., None] * routing).sum(1)
    rest = 1 - weight
    # Where one neighbour has all the weight nothing is left, and its own routing stands.
    left = (total[:, None] - weight[..., None] * routing) / rest[..., None].clamp(min=1e-6)
    left = torch.where((rest > 1e-6)[..., None], left.clamp(min=0), total[:, None])
    model = bench.engine.model
    device = prepared.routing.device
    with_all = model.answer(prepared, total.to(device)).argmax(1)
    count = left.shape[1]
    spread = Prepared(
        prepared.expert_outputs.repeat_interleave(count, 0),
        prepared.routing.repeat_interleave(count, 0),
        prepared.image_features.repeat_interleave(count, 0),
    )
    without = model.answer(spread, left.reshape(-1, left.shape[2]).to(device)).argmax(1)
    return (
        neighbours.index.numpy(),
        with_all.cpu().numpy(),
        without.reshape(-1, count).cpu().numpy(),
    )


def check_harm(bench: Bench, thresholds: Thresholds, suites: Sequence[PreparedSuite]) -> Finding:
    """Say how many samples harm as neighbours."""
    reference = bench.reference
    if not suites or reference.manifest.routing_only:
        return not_assessed("harm", NO_SUITE)
    found = measure_influence(bench, suites)
    harmful = found.harmful
    served = int((found.served > 0).sum())
    share = len(harmful) / max(served, 1)
    verdict = grade(share, thresholds.harm_weak, None, more_is_better=False)
    identifiers = reference.column("id")
    values = {"count": len(harmful), "served": served, "share": share}
    return Finding(
        "harm",
        verdict,
        share,
        thresholds.harm_weak,
        None,
        Sentence(FEW if verdict == "usable" else MANY, values),
        Sentence("" if verdict == "usable" else RETIRE),
        {
            "repairs": int(found.repairs.sum()),
            "breaks": int(found.breaks.sum()),
            "worst": [
                {
                    "id": str(identifiers[row]),
                    "served": int(found.served[row]),
                    "repairs": int(found.repairs[row]),
                    "breaks": int(found.breaks[row]),
                }
                for row in harmful[:50].tolist()
            ],
        },
        tuple(str(identifiers[row]) for row in harmful.tolist()),
    )

"""What changed between two versions of a reference set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from r2t2_core.reference.store import ReferenceSet


@dataclass(frozen=True)
class Difference:
    """From one version to another.

    Attributes
    ----------
    added, removed : tuple of str
        Identifiers of samples.
    relabelled : tuple of (id, before, after)
    families : mapping of str to (share before, share after)
    family_shift : float
        Total variation distance of the shares, 0 to 1.
    routing : mapping of expert to (mean weight before, after)
        Empty where the experts differ.
    routing_shift : float or None
        Total variation distance of the mean routing, summed over gates, halved.
    same_model, same_embedder : bool
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[tuple[str, str, str], ...]
    families: dict[str, tuple[float, float]]
    family_shift: float
    routing: dict[str, tuple[float, float]]
    routing_shift: float | None
    same_model: bool
    same_embedder: bool


def compare_versions(before: ReferenceSet, after: ReferenceSet) -> Difference:
    """Compare two versions; a sample is the same where its id and its question are."""
    old, new = _samples(before), _samples(after)
    families = _shares(before), _shares(after)
    names = sorted(set(families[0]) | set(families[1]))
    shares = {name: (families[0].get(name, 0.0), families[1].get(name, 0.0)) for name in names}
    same_experts = before.manifest.experts == after.manifest.experts
    means = [reference.router_routing.mean(0).tolist() for reference in (before, after)]
    routing = (
        dict(zip(before.manifest.experts, zip(*means, strict=True), strict=True))
        if same_experts
        else {}
    )
    return Difference(
        added=tuple(key[0] for key in new if key not in old),
        removed=tuple(key[0] for key in old if key not in new),
        relabelled=tuple(
            (key[0], old[key], label)
            for key, label in new.items()
            if key in old and old[key] != label
        ),
        families=shares,
        family_shift=sum(abs(a - b) for a, b in shares.values()) / 2,
        routing=routing,
        routing_shift=float(np.abs(np.subtract(*means)).sum() / 2) if same_experts else None,
        same_model=before.manifest.model_fingerprint == after.manifest.model_fingerprint,
        same_embedder=before.manifest.embedder_hash == after.manifest.embedder_hash,
    )


def _samples(reference: ReferenceSet) -> dict[tuple[str, str], str]:
    keys = zip(reference.column("id"), reference.column("question"), strict=True)
    return dict(zip(keys, reference.column("label"), strict=True))


def _shares(reference: ReferenceSet) -> dict[str, float]:
    counts = Counter(reference.column("family"))
    return {name: count / len(reference) for name, count in counts.items()}

"""What computed a decision, beyond what the decision names: code, switches, router, policy."""

from __future__ import annotations

import hashlib
import platform
from functools import lru_cache
from pathlib import Path

import rfc8785
import torch
from torch import nn

from r2t2_core.audit.entries import HostRecord
from r2t2_core.decision import Decision, Scalar
from r2t2_core.engine import Engine
from r2t2_core.models.base import ModelAdapter
from r2t2_core.models.fingerprint import fingerprint

PACKAGE = Path(__file__).resolve().parents[1]


def describe_host(engine: Engine) -> HostRecord:
    """Describe what computes, as it is now."""
    return HostRecord(
        fingerprint_at_load=engine.model_fingerprint,
        router_fingerprint=router_fingerprint(engine.model),
        policy_version=policy_version(engine),
        code_sha256=code_hash(),
        determinism=determinism(),
        platform=platform.platform(),
    )


def router_fingerprint(model: ModelAdapter) -> str | None:
    """Hash the router's weights alone; None where the model does not part them."""
    router = getattr(getattr(model, "model", None), "router", None)
    return fingerprint(router) if isinstance(router, nn.Module) else None


def policy_version(engine: Engine) -> str:
    """Hash the gate's thresholds."""
    thresholds = engine.defaults.thresholds.model_dump(mode="json")
    return hashlib.sha256(rfc8785.dumps(thresholds)).hexdigest()


@lru_cache(maxsize=1)
def code_hash() -> str:
    """Hash the program's own source files, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}|".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def determinism() -> dict[str, Scalar]:
    """Return the switches of torch that decide whether the same input gives the same bits."""
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "mkldnn": bool(torch.backends.mkldnn.enabled),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "interop_threads": torch.get_num_interop_threads(),
    }


def hash_neighbours(decision: Decision, root: Path | None) -> dict[str, str | None]:
    """Hash the neighbours' pictures; None where a picture is not in this reference set's folder."""
    return {
        neighbour.id: None if root is None else _hash_inside(root, neighbour.image)
        for neighbour in decision.neighbours
    }


def neighbour_picture(root: Path, name: str) -> bytes | None:
    """Return a neighbour's picture; None where it is missing, or its name leads elsewhere."""
    path = (root / name).resolve()
    if not name or not path.is_relative_to(root.resolve()):
        return None
    try:
        return path.read_bytes()
    except OSError:
        return None


def _hash_inside(root: Path, name: str) -> str | None:
    data = neighbour_picture(root, name)
    return None if data is None else hashlib.sha256(data).hexdigest()

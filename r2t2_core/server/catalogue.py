"""Routes that say what there is: the system, strategies, reference sets and their pictures."""

from __future__ import annotations

import mimetypes

import numpy as np
import torch
from fastapi import FastAPI
from fastapi.responses import FileResponse

from r2t2_core import __version__
from r2t2_core.engine import Engine
from r2t2_core.i18n import N_
from r2t2_core.reference.store import POLICIES
from r2t2_core.registry import strategies
from r2t2_core.server.schemas import (
    Problem,
    ReferenceSetInfo,
    Responses,
    StrategyInfo,
    SystemInfo,
    Tags,
)
from r2t2_core.server.service import Service, UnknownError


def catalogue_routes(app: FastAPI, service: Service) -> None:
    """Add the routes."""
    tags: Tags = ["catalogue"]
    busy: Responses = {429: {"model": Problem}, 503: {"model": Problem}}

    @app.get("/v1/system", tags=tags, responses=busy)
    async def system() -> SystemInfo:
        """Say what answers here."""
        engine = service.engine
        return SystemInfo(
            model=engine.model.name,
            model_fingerprint=engine.model_fingerprint,
            device=engine.device,
            dtype=engine.model.dtype,
            threads=torch.get_num_threads(),
            code_version=__version__,
            experts=engine.model.routing_spec.experts,
            answers=engine.answers,
            reference_hash=engine.reference.manifest.content_hash,
            default_strategy=engine.default_strategy,
            default_retrieval=engine.default_retrieval,
        )

    @app.get("/v1/strategies", tags=tags, responses=busy)
    async def list_strategies() -> list[StrategyInfo]:
        """List the strategies with the schemas of their parameters."""
        engine = service.engine
        return [
            StrategyInfo(
                name=name,
                title=entry.title,
                summary=entry.summary,
                needs_label=entry.needs_label,
                is_control=entry.is_control,
                parameters=entry.params.model_json_schema(),
                defaults=engine.default_parameters(name).model_dump(mode="json"),
            )
            for name, entry in strategies().items()
        ]

    @app.get("/v1/reference-sets", tags=tags, responses=busy)
    async def reference_sets() -> list[ReferenceSetInfo]:
        """List the reference sets that serve here."""
        return [_describe(service.engine)]

    @app.get(
        "/v1/reference-sets/{content_hash}/pictures/{path:path}",
        tags=tags,
        response_class=FileResponse,
        responses={**busy, 404: {"model": Problem}},
    )
    async def picture(content_hash: str, path: str) -> FileResponse:
        """Return the picture of a reference sample."""
        engine = service.engine
        root = engine.pictures.resolve()
        wanted = None
        if content_hash == engine.reference.manifest.content_hash and "\0" not in path:
            wanted = (root / path).resolve()
        kind, _ = mimetypes.guess_type(path)
        # Pictures below the folder, and nothing else of this machine.
        if (
            wanted is None
            or not wanted.is_relative_to(root / "images")
            or not (kind or "").startswith("image/")
            or not wanted.is_file()
        ):
            raise UnknownError(N_("There is no such picture."), "")
        return FileResponse(wanted, media_type=kind)


def _describe(engine: Engine) -> ReferenceSetInfo:
    manifest = engine.reference.manifest
    return ReferenceSetInfo(
        name=manifest.name,
        size=manifest.size,
        content_hash=manifest.content_hash,
        created_at=manifest.created_at,
        licence=manifest.licence,
        source=manifest.source,
        model=manifest.model,
        embedder=manifest.embedder,
        admitted={
            policy: int(np.count_nonzero(engine.reference.eligible(policy))) for policy in POLICIES
        },
    )

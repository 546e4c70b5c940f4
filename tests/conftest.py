"""Shared fixtures; the user's data folder is never touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from r2t2_core.engine import Engine
from r2t2_core.gallery import GalleryCase, load_gallery
from r2t2_core.i18n import set_language
from r2t2_core.settings import SAMPLE_DATA, Settings


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("R2T2_DATA_DIR", str(tmp_path / "data"))
    set_language("en")
    yield
    set_language("en")


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The shipped model, embedder and reference set."""
    torch.manual_seed(0)
    # Whatever set the person who runs the tests has in use.
    return Engine.load(Settings(reference="shipped"))


@pytest.fixture(scope="session")
def cases() -> tuple[GalleryCase, ...]:
    """The gallery."""
    return load_gallery(SAMPLE_DATA / "gallery")


@pytest.fixture(scope="session")
def gallery_dir() -> Path:
    """Folder of the gallery's pictures."""
    return SAMPLE_DATA / "gallery"

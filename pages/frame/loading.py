"""Loads the engine, or opens the backend, once for all sessions."""

from __future__ import annotations

import streamlit as st

from r2t2_core.backend import Backend
from r2t2_core.engine import Engine
from r2t2_core.gallery import GalleryCase, load_gallery
from r2t2_core.server.client import RemoteBackend
from r2t2_core.settings import Settings


@st.cache_resource(show_spinner=False)
def load_engine() -> Engine:
    """Return the process's one engine."""
    return Engine.load(Settings.from_environment())


def load_backend() -> Backend:
    """Return who answers: the backend that R2T2_BACKEND_URL names, or the process's one engine."""
    settings = Settings.from_environment()
    return load_engine() if settings.backend_url is None else _open(settings.backend_url)


def forget_backend() -> None:
    """Open the backend anew when it is next asked for: another one may have come in its place."""
    _open.clear()


@st.cache_resource(show_spinner=False)
def _open(address: str) -> RemoteBackend:
    return RemoteBackend.open(Settings.from_environment())


@st.cache_data(show_spinner=False)
def gallery() -> tuple[GalleryCase, ...]:
    """Return the gallery's cases."""
    return load_gallery(Settings.from_environment().gallery_dir)


@st.cache_data(show_spinner=False)
def gallery_picture(name: str) -> bytes:
    """Return the bytes of a picture of the gallery."""
    return (Settings.from_environment().gallery_dir / name).read_bytes()

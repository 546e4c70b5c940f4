"""Loads the engine once for all sessions."""

from __future__ import annotations

import streamlit as st

from r2t2_core.engine import Engine
from r2t2_core.gallery import GalleryCase, load_gallery
from r2t2_core.settings import Settings


@st.cache_resource(show_spinner=False)
def load_engine() -> Engine:
    """Return the process's one engine."""
    return Engine.load(Settings.from_environment())


@st.cache_data(show_spinner=False)
def gallery() -> tuple[GalleryCase, ...]:
    """Return the gallery's cases."""
    return load_gallery(Settings.from_environment().gallery_dir)


@st.cache_data(show_spinner=False)
def gallery_picture(name: str) -> bytes:
    """Return the bytes of a picture of the gallery."""
    return (Settings.from_environment().gallery_dir / name).read_bytes()

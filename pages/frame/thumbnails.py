"""Small pictures for tables: a list of cases must not send whole photographs."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import streamlit as st
from PIL import Image, UnidentifiedImageError

from pages.frame.cases import NO_PICTURE

SIDE = 112
"""Pixels of the longer side."""


@st.cache_data(show_spinner=False, max_entries=4000)
def thumbnail(path: Path) -> str:
    """Return a small copy of a picture as a data address; a grey cross where there is none."""
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (SIDE, SIDE))
            small = picture.convert("RGB")
            small.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return NO_PICTURE
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()

"""A case that one page hands to another, and pictures as pages show them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

HANDED = "handed"
"""Session key of the case, and name of the source on the re-route page."""

NO_PICTURE = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'%3E"
    "%3Cpath d='M2 2l5 5M7 2l-5 5' stroke='%238b93a3'/%3E%3C/svg%3E"
)
"""Shown where a picture is missing: a grey cross."""


@dataclass(frozen=True)
class Case:
    """A picture file with a question and its right answer, where it is known."""

    image: bytes
    question: str
    label: str | None


def hand_over(case: Case) -> None:
    """Give a case to the re-route page, to be answered at once."""
    st.session_state[HANDED] = case
    st.session_state["source"] = HANDED
    st.session_state["answer_now"] = True


def handed_case() -> Case | None:
    """Return the case that was handed over last, if any."""
    case: Case | None = st.session_state.get(HANDED)
    return case


def picture_data(path: Path) -> str:
    """Return a picture as a data address."""
    try:
        return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError:
        return NO_PICTURE

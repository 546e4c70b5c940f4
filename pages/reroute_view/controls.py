"""Widgets that derive from a pydantic model: bounds, choices and descriptions are its own."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pages.frame.words import choice
from r2t2_core.i18n import gettext as _
from r2t2_core.parameters import bounds, choices

WIDEST_SLIDER = 1000
"""A wider range of integers is typed."""

OPEN_END = 1e-6


def controls(model: type[BaseModel], start: BaseModel, key: str) -> dict[str, Any]:
    """Show a widget for each field of a model, and return the values.

    Parameters
    ----------
    model : type of pydantic.BaseModel
    start : pydantic.BaseModel
        Values to begin with.
    key : str
        Prefix of the widgets' keys.
    """
    values = {}
    for name, field in model.model_fields.items():
        values[name] = _widget(name, field, getattr(start, name), f"{key}.{name}")
    return values


def _widget(name: str, field: FieldInfo, value: Any, key: str) -> Any:
    # The sentence is the label, in the person's language; the name is what the command line wants.
    label = _(field.description).rstrip(".。") if field.description else name.replace("_", " ")
    name = f"`{name}`"
    if (options := choices(field)) is not None:
        return st.selectbox(
            label, options, options.index(value), format_func=choice, key=key, help=name
        )
    if field.annotation is bool:
        return st.checkbox(label, value, key=key, help=name)
    limits = bounds(field)
    low, high = limits.low, limits.high
    if field.annotation is int:
        if high - low <= WIDEST_SLIDER:
            return st.slider(label, int(low), int(high), value, key=key, help=name)
        return st.number_input(
            label,
            int(low) if math.isfinite(low) else None,
            int(high) if math.isfinite(high) else None,
            value,
            key=key,
            help=name,
        )
    # An open end is kept out of reach: the widget's own ends are closed.
    low += OPEN_END * limits.low_open
    high -= OPEN_END * limits.high_open
    return st.number_input(
        label,
        low if math.isfinite(low) else None,
        high if math.isfinite(high) else None,
        float(value),
        key=key,
        help=name,
        format="%.4g",
    )

"""Widgets that derive from a pydantic model: bounds, choices and descriptions are its own."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from r2t2_core.i18n import gettext as _


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


def bounds(field: FieldInfo) -> tuple[float, float]:
    """Return the least and the greatest value of a numeric field."""
    low, high = -math.inf, math.inf
    for entry in field.metadata:
        low = max(low, getattr(entry, "ge", None) or getattr(entry, "gt", None) or low)
        for name in ("le", "lt"):
            if getattr(entry, name, None) is not None:
                high = min(high, getattr(entry, name))
        if getattr(entry, "ge", None) == 0 or getattr(entry, "gt", None) == 0:
            low = max(low, 0)
    return low, high


def _widget(name: str, field: FieldInfo, value: Any, key: str) -> Any:
    description = field.description or name
    label, described = name.replace("_", " "), _(description)
    if get_origin(field.annotation) is Literal:
        choices = list(get_args(field.annotation))
        return st.selectbox(label, choices, choices.index(value), key=key, help=described)
    low, high = bounds(field)
    if field.annotation is bool:
        return st.checkbox(label, value, key=key, help=described)
    if field.annotation is int:
        if high - low > 1000:
            return st.number_input(label, int(low), int(high), value, key=key, help=described)
        return st.slider(label, int(low), int(high), value, key=key, help=described)
    return st.number_input(
        label, float(low), float(high), float(value), key=key, help=described, format="%.4g"
    )

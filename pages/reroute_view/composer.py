"""The scene composer: put things on a background, drag them, ask about them.

The browser only places things; the picture itself is drawn by the renderer that made the
model's training pictures, so that the model understands it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image
from pydantic import BaseModel, Field, ValidationError

from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import N_, active_language
from r2t2_core.i18n import gettext as _
from r2t2_core.scenes import BACKGROUNDS, KINDS, SETTINGS, Item, Scene, render
from r2t2_core.scenes.names import Noun
from r2t2_core.scenes.sprites import load_sprite, sprite_name
from r2t2_core.scenes.world import GAUGE_MAXIMUM, PAINTED_KINDS, PAINTS, WORDS

SIZES = {"sign": 0.46, "gauge": 0.3, "chart": 0.3}
THING_SIZE = 0.27
PICTURE = 448
MOST = 9
"""Things in a scene: one a cell."""

THUMBNAIL = 72

_FOLDER = Path(__file__).parent

_component = st.components.v2.component(
    "scene_composer",
    html='<div class="composer"></div>',
    css=(_FOLDER / "composer.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "composer.js").read_text(encoding="utf-8"),
)


@st.cache_data(show_spinner=False)
def palette(language: str, setting: str) -> list[dict[str, str]]:
    """Return all that can be put into a scene: an identifier, a name and a small picture.

    What belongs to the setting comes first. Names are the words that a question may use.
    """
    entries = []
    strangers = [kind for kind in KINDS if kind not in SETTINGS[setting]]
    for kind in (*SETTINGS[setting], *strangers):
        for colour in PAINTS if kind in PAINTED_KINDS else (None,):
            name = sprite_name(kind, colour)
            entries.append(_entry(name, Noun(kind, colour).say(language), load_sprite(name)))
    for word in WORDS:
        entries.append(_panel(f"sign:{word}", f"sign {word}", Item("sign", size=0.94, word=word)))
    for value in range(GAUGE_MAXIMUM + 1):
        item = Item("gauge", size=0.9, values=(value,))
        entries.append(_panel(f"gauge:{value}", f"gauge {value}", item))
    for heights in ((9, 5, 2), (2, 9, 5), (5, 2, 9)):
        item = Item("chart", size=0.9, values=heights)
        text = ",".join(map(str, heights))
        entries.append(_panel(f"chart:{text}", f"bar chart {text}", item))
    return entries


def _panel(name: str, title: str, item: Item) -> dict[str, str]:
    picture = render(Scene((item,), "cream", horizon=1.0), 2 * THUMBNAIL)
    if item.kind == "sign":
        side = picture.width
        picture = picture.crop((0, round(side * 0.27), side, round(side * 0.73)))
    return _entry(name, title, picture)


def _entry(name: str, title: str, picture: Image.Image) -> dict[str, str]:
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return {"name": name, "title": title, "picture": _data_address(small)}


def _data_address(picture: Image.Image) -> str:
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@st.cache_data(show_spinner=False)
def backdrop(setting: str, background: str) -> str:
    """Return an empty scene as an address that a style sheet can use."""
    return _data_address(render(Scene((), background, setting=setting), PICTURE))


def compose() -> bytes | None:
    """Show the composer; return the picture (PNG), or None while the scene is empty."""
    where, before = st.columns(2)
    setting = where.selectbox(
        _("Setting"),
        list(SETTINGS),
        format_func=lambda name: {
            "room": _("a room"), "shelf": _("a shop's shelf"),
            "tray": _("an assembly tray"), "panel": _("an instrument panel"),
        }[name],
        key="composer.setting",
        label_visibility="collapsed",
    )  # fmt: skip
    backgrounds = list(BACKGROUNDS)
    background = before.selectbox(
        _("Background"),
        backgrounds,
        format_func=lambda name: {
            "cream": _("cream"), "sky": _("sky"), "sand": _("sand"),
            "mint": _("mint"), "rose": _("rose"), "slate": _("slate"),
        }[name],
        key="composer.background",
        label_visibility="collapsed",
    )  # fmt: skip
    # Kept outside the widget's own state, which goes when another tab is shown.
    kept = st.session_state.setdefault("composed", [])
    placed = _component(
        data={
            "start": kept,
            "palette": palette(active_language(), setting),
            "backdrop": backdrop(setting, background),
            "thingSize": THING_SIZE,
            "sizes": SIZES,
            "words": {
                "hint": _(
                    "Click a thing to add it, drag it to move it, double-click to remove it."
                ),
                "keys": _("Arrow keys move it, Delete removes it."),
                "remove": _("Remove"),
                "clear": _("Clear"),
                "scene": _("Scene"),
            },
        },
        key="composer",
        on_placed_change=_nothing,
    ).placed
    if placed is not None:
        st.session_state["composed"] = kept = placed
    items = read_items(kept)
    if not items:
        return None
    buffer = BytesIO()
    render(Scene(items, background, setting=setting), PICTURE).save(buffer, "PNG")
    return buffer.getvalue()


def _nothing() -> None:
    """Streamlit wants a callback for a value that the component may set."""


class Placed(BaseModel):
    """A sprite as the browser sends it; x and y are shares of the picture's sides."""

    name: str
    x: float = Field(default=0.5, allow_inf_nan=False)
    y: float = Field(default=0.5, allow_inf_nan=False)


def read_items(placed: Sequence[Mapping[str, Any]]) -> tuple[Item, ...]:
    """Turn what the browser sent into items of a scene.

    Raises
    ------
    WorkbenchError
        Something is not of the palette (the browser sent what we never offered).
    """
    known = {entry["name"] for entry in palette("en", "room")}
    items = []
    for raw in placed[:MOST]:
        try:
            entry = Placed.model_validate(raw)
        except ValidationError as error:
            raise WorkbenchError(
                N_("The composed scene cannot be read: {reason}."),
                N_("Clear the scene and compose it again."),
                reason=str(error.errors()[0]["msg"]),
            ) from error
        name = entry.name
        if name not in known:
            raise WorkbenchError(
                N_("There is no sprite called {name}."),
                N_("Choose one of the palette."),
                name=name,
            )
        x, y = (min(1.0, max(0.0, value)) for value in (entry.x, entry.y))
        kind, _colon, detail = name.partition(":")
        if not detail:
            kind, _dash, colour = name.partition("-")
            items.append(Item(kind, colour or None, x, y, THING_SIZE))
        elif kind == "sign":
            items.append(Item(kind, None, x, y, SIZES[kind], word=detail))
        else:
            values = tuple(int(value) for value in detail.split(","))
            items.append(Item(kind, None, x, y, SIZES[kind], values=values))
    return tuple(items)

"""Words for what cases are: family, style, language, phrasing, density."""

from __future__ import annotations

from r2t2_core.i18n import LANGUAGES, N_
from r2t2_core.i18n import gettext as _

FAMILIES = {
    "colour": N_("colour"),
    "kind": N_("kind of thing"),
    "count": N_("counting"),
    "where": N_("where it is"),
    "relation": N_("where, to another"),
    "existence": N_("whether there is one"),
    "comparison": N_("more or fewer"),
    "text": N_("reading"),
    "gauge": N_("gauge"),
    "chart": N_("bar chart"),
}

STYLES = {"plain": N_("plain"), "varied": N_("varied")}

DENSITY = {
    "sparse": N_("few similar samples"),
    "middle": N_("some similar samples"),
    "dense": N_("many similar samples"),
}

FEATURES = {
    "family": N_("family"),
    "style": N_("style"),
    "answer": N_("answer"),
    "language": N_("language"),
    "phrasing": N_("phrasing"),
    "density": N_("neighbourhood"),
}


def family_title(name: str) -> str:
    """Return a family in the active language; a third party's stands as it is."""
    return _(FAMILIES.get(name, name)) if name else _("not known")


def style_title(name: str) -> str:
    """Return a style in the active language; a third party's stands as it is."""
    return _(STYLES.get(name, name)) if name else _("not known")


def condition_title(feature: str, value: str) -> str:
    """Return one condition of a slice in words."""
    if feature == "family":
        shown = family_title(value)
    elif feature == "style":
        shown = style_title(value)
    elif feature == "density":
        shown = _(DENSITY.get(value, value))
    elif feature == "language":
        shown = LANGUAGES.get(value, value)
    else:
        shown = f"“{value}”"
    return f"{_(FEATURES.get(feature, feature))}: {shown}"

"""Visible strings in English and Japanese, through gettext catalogues.

The catalogues are `.po` files that are read at run time; a message that has no
translation stands in English.
"""

from __future__ import annotations

import gettext as _gettext
from contextvars import ContextVar
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from babel.core import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from r2t2_core.errors import WorkbenchError

LOCALE = Path(__file__).parent / "locale"

LANGUAGES = {"en": "English", "ja": "日本語"}
"""Code → name in its own language."""

SOURCE_LANGUAGE = "en"
"""The language of the messages themselves; it needs no catalogue."""

_active: ContextVar[str] = ContextVar("language", default="en")


def N_(message: str) -> str:  # noqa: N802 (gettext's own name for a marked string)
    """Mark a message for translation and return it as it is."""
    return message


def set_language(code: str) -> None:
    """Choose the language of this context; KeyError for one that is not in `LANGUAGES`."""
    if code not in LANGUAGES:
        raise KeyError(code)
    _active.set(code)


def active_language() -> str:
    """Return the code of this context's language."""
    return _active.get()


def negotiate(preferred: str | None) -> str:
    """Choose a language for a browser's locale or Accept-Language header; English otherwise."""
    wanted = [part.split(";")[0].strip().replace("-", "_") for part in (preferred or "").split(",")]
    found = negotiate_locale([tag for tag in wanted if tag], list(LANGUAGES))
    return found or "en"


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(code: str) -> _gettext.NullTranslations:
    """Load a language's catalogue."""
    path = LOCALE / code / "LC_MESSAGES" / "r2t2.po"
    if not path.is_file():
        return _gettext.NullTranslations()
    with path.open("rb") as file:
        messages = read_po(file, locale=code)
    compiled = BytesIO()
    write_mo(compiled, messages)
    compiled.seek(0)
    return _gettext.GNUTranslations(compiled)


def gettext(message: str) -> str:
    """Translate a message into the active language."""
    return catalogue(_active.get()).gettext(message) if message else ""


def translate_error(error: WorkbenchError) -> tuple[str, str]:
    """Return an error's message and remedy in the active language, placeholders filled."""
    return (
        gettext(error.message).format(**error.params),
        gettext(error.remedy).format(**error.params),
    )

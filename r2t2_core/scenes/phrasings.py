"""How questions are worded, by language, family and phrasing group.

Groups: `narrow` is all that the router's training has seen; `broad` is seen by the
experts' training, the reference set and the test suites, never by the router's
training; `held_out` is seen by no training at all. `free` wordings were written by
somebody who had not seen any of the others (`free_wordings.json`), and are a test of
their own.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from r2t2_core.scenes.phrasings_en import ENGLISH
from r2t2_core.scenes.phrasings_ja import JAPANESE

LANGUAGES = ("en", "ja")

GROUPS = ("narrow", "broad", "held_out", "free")


@lru_cache(maxsize=1)
def _free() -> dict[str, dict[str, list[str]]]:
    path = Path(__file__).with_name("free_wordings.json")
    wordings: dict[str, dict[str, list[str]]] = json.loads(path.read_text(encoding="utf-8"))
    return wordings


def phrasings(language: str, family: str, group: str) -> tuple[str, ...]:
    """Return the templates of a family in a language and a group; KeyError where there are none."""
    if group == "free":
        return tuple(_free()[family][language])
    return {"en": ENGLISH, "ja": JAPANESE}[language][family][group]

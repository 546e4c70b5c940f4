"""Questions that people type, to clean text; everything else to one clear sentence."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from r2t2_core.errors import QuestionError
from r2t2_core.i18n import N_

MAX_CHARACTERS = 300

NOTE_CONTROL = N_("Control characters were removed from the question.")
NOTE_EMOJI = N_("Emoji were removed from the question.")

OTHER_LANGUAGE = N_("Questions are answered in English and Japanese.")
ASK = N_("Ask in one of them, for example: Where is the chair?")

_FOREIGN_WORDS = {
    "French": "où est le la les une quel quelle couleur combien dans sur des du il y a-t-il sont",
    "German": "wo ist der die das ein eine welche welcher farbe wie viele auf dem den sind gibt es",
    "Spanish": "dónde está el la los las un una qué cuál color cuántos cuántas hay en de son",
    "Italian": "dove è il lo la gli un una quale colore quanti quante ci sono nella nel di che",
    "Portuguese": "onde está o os as um uma qual cor quantos quantas há na no são que de",
}
"""Function words; many of a sentence's words in one list, and few English ones, tell a language."""

_ENGLISH = (
    "a an the is are was do does did what which where who how many much of in on at to there any "
    "see this that it me tell name count read find more than color colour picture image"
)


_KANA = ("HIRAGANA", "KATAKANA")

_JAPANESE = (*_KANA, "CJK UNIFIED")


@dataclass(frozen=True)
class IntakeQuestion:
    """A question as the model takes it.

    Attributes
    ----------
    text : str
        Normalised (NFKC: what an East Asian keyboard types at full width becomes plain letters),
        one line, single spaces.
    notes : tuple of str
        What was done to it (message identifiers).
    """

    text: str
    notes: tuple[str, ...]


def read_question(text: str) -> IntakeQuestion:
    """Clean a typed question.

    Raises
    ------
    QuestionError
        Empty, too long, without a word, or neither in English nor in Japanese.
    """
    if not text.strip():
        raise QuestionError(N_("The question is empty."), ASK)
    if len(text) > MAX_CHARACTERS:
        raise QuestionError(
            N_("The question has {size} characters; the limit is {limit}."),
            N_("Ask one short question."),
            size=len(text),
            limit=MAX_CHARACTERS,
        )
    notes: list[str] = []
    clean = _without(text, notes)
    if not any(character.isalpha() for character in clean):
        raise QuestionError(N_("The question has no words in it."), ASK)
    _require_known_language(clean)
    return IntakeQuestion(clean, tuple(notes))


def _without(text: str, notes: list[str]) -> str:
    """Remove control, direction-override and private characters, and emoji."""
    kept = []
    for character in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(character)
        if character.isspace():
            kept.append(" ")
        elif category in ("Cc", "Cf", "Cs", "Co", "Cn"):
            if NOTE_CONTROL not in notes and character != "\u200d":
                notes.append(NOTE_CONTROL)
        elif _is_emoji(character):
            if NOTE_EMOJI not in notes:
                notes.append(NOTE_EMOJI)
        else:
            kept.append(character)
    return " ".join("".join(kept).split())


def _is_emoji(character: str) -> bool:
    """Tell pictographs, their skin tones and variation selectors from other symbols."""
    code = ord(character)
    return (
        0xFE00 <= code <= 0xFE0F
        or 0x1F3FB <= code <= 0x1F3FF
        or (unicodedata.category(character) == "So" and code >= 0x2190)
    )


def _require_known_language(text: str) -> None:
    letters = [unicodedata.name(character, "") for character in text if character.isalpha()]
    latin = sum(name.startswith("LATIN") for name in letters)
    japanese = sum(name.startswith(_JAPANESE) for name in letters)
    # Chinese characters without any kana are Chinese, unless there are few of them: 椅子.
    kana = sum(name.startswith(_KANA) for name in letters)
    reads_japanese = japanese >= 0.5 * len(letters) and (kana > 0 or japanese <= 3)
    if reads_japanese:
        return
    if latin < 0.7 * len(letters) or _reads_foreign(text):
        raise QuestionError(OTHER_LANGUAGE, ASK)


def _reads_foreign(text: str) -> bool:
    """Tell a sentence of another Latin-script language, only where that is clear."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    common = frozenset(_ENGLISH.split())
    english = sum(word in common for word in words)
    for listed in _FOREIGN_WORDS.values():
        vocabulary = frozenset(listed.split())
        foreign = sum(word in vocabulary for word in words)
        if foreign >= 2 and foreign > english and foreign >= 0.4 * len(words):
            return True
    return False

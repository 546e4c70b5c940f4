"""Every visible string has a Japanese translation with the same placeholders."""

from __future__ import annotations

import re

import pytest
from babel.messages.pofile import read_po

from r2t2_core.errors import ImageError
from r2t2_core.i18n import LOCALE, gettext, negotiate, set_language, translate_error
from tools.extract_messages import extract


@pytest.fixture(scope="module")
def japanese():
    with (LOCALE / "ja" / "LC_MESSAGES" / "r2t2.po").open("rb") as file:
        return read_po(file, locale="ja")


def test_nothing_is_left_untranslated(japanese):
    missing = [
        m.id for m in extract() if m.id and not (japanese.get(m.id) and japanese[m.id].string)
    ]
    assert missing == []


def test_nothing_is_translated_that_is_no_longer_said(japanese):
    said = {message.id for message in extract()}
    assert [message.id for message in japanese if message.id and message.id not in said] == []


def test_placeholders_survive_translation(japanese):
    for message in japanese:
        if message.id:
            names = re.findall(r"\{\w+\}", message.id)
            assert sorted(names) == sorted(re.findall(r"\{\w+\}", message.string)), message.id


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ("ja-JP", "ja"),
        ("ja", "ja"),
        ("en-US", "en"),
        ("de-DE", "en"),
        (None, "en"),
        ("fr,ja;q=0.8", "ja"),
    ],
)
def test_the_browsers_language_decides(wanted, code):
    assert negotiate(wanted) == code


def test_an_error_is_translated_with_its_values():
    error = ImageError(
        "The picture has {size} megapixels; the limit is {limit}.",
        "Reduce the picture and try again.",
        size=63,
        limit=40,
    )
    assert str(error).startswith("The picture has 63 megapixels; the limit is 40.")
    set_language("ja")
    message, remedy = translate_error(error)
    assert "63" in message
    assert message != error.message
    assert remedy == gettext("Reduce the picture and try again.")

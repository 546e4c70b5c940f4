"""No visible string escapes translation: what is shown is marked, what is named has a word."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pages.frame.words import CHOICES, EXPERTS, OUTCOMES
from r2t2_core.gallery import GalleryCase
from r2t2_core.models.scene_moe.configuration_scene_moe import EXPERTS as MODEL_EXPERTS
from r2t2_core.parameters import choices
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import strategies

ROOT = Path(__file__).resolve().parents[2]

SHOWN = frozenset(
    (
        "title", "header", "subheader", "caption", "markdown", "write", "text", "button",
        "download_button", "selectbox", "slider", "checkbox", "text_input", "number_input",
        "expander", "warning", "error", "info", "success", "spinner", "progress", "radio",
        "segmented_control", "file_uploader", "toggle", "multiselect", "tabs", "metric", "heading",
    )
)  # fmt: skip
"""Functions whose first argument a person reads."""

READ = ("help", "placeholder", "label", "alt", "caption")
"""Keyword arguments that a person reads."""


def bare(node: ast.expr) -> bool:
    """Tell a literal with words in it: such a string never went through gettext."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(re.search(r"[A-Za-z]{2}", node.value))
    if isinstance(node, ast.JoinedStr):
        return any(bare(part) for part in node.values)
    return isinstance(node, ast.BinOp) and (bare(node.left) or bare(node.right))


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def bare_strings(source: str) -> list[str]:
    """Return the visible literals of a page's source that are not marked."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or name_of(node) not in SHOWN:
            continue
        read = node.args[:1] + [word.value for word in node.keywords if word.arg in READ]
        found += [ast.unparse(value) for value in read if bare(value)]
    return found


def bare_errors(source: str) -> list[str]:
    """Return the messages and remedies of errors that are not marked."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and re.fullmatch(r"\w+Error|Cancelled", name_of(node)):
            if name_of(node) in ("ValueError", "FileNotFoundError", "KeyError", "TypeError"):
                continue
            found += [ast.unparse(value) for value in node.args[:2] if bare(value)]
    return found


@pytest.mark.parametrize(
    "path",
    [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_what_a_page_shows_is_marked(path):
    # An example of a question in English is the same in every language.
    allowed = {"'Where is the chair?'"}
    assert [text for text in bare_strings(path.read_text()) if text not in allowed] == []


def test_every_error_is_marked():
    found = {
        path.relative_to(ROOT).as_posix(): texts
        for path in (ROOT / "r2t2_core").rglob("*.py")
        if (texts := bare_errors(path.read_text()))
    }
    assert found == {}


def test_the_search_finds_what_it_is_for():
    assert bare_strings('st.caption("Hello there")') == ["'Hello there'"]
    assert bare_strings('left.button(f"Go {x}")') == ["f'Go {x}'"]
    assert bare_strings('st.selectbox(_("Case"), options, help="more words")') == ["'more words'"]
    assert bare_strings('st.caption(_("Hello"))') == []
    assert bare_errors('raise ImageError("It is bad.", N_("Mend it."))') == ["'It is bad.'"]


def test_every_choice_expert_and_outcome_has_a_word():
    models = [RetrievalParams, *(entry.params for entry in strategies().values())]
    named = {
        option for model in models for info in model.model_fields.values()
        for option in choices(info) or ()
    }  # fmt: skip
    assert named <= set(CHOICES)
    assert set(MODEL_EXPERTS) <= set(EXPERTS)
    outcome = GalleryCase.model_fields["outcome"]
    assert set(choices(outcome) or ()) == set(OUTCOMES)

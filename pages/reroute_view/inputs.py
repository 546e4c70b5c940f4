"""The left column: a picture (gallery, upload or composed), a question, and one button."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import streamlit as st
from PIL import Image

from pages.frame.cases import HANDED, handed_case
from pages.frame.loading import gallery, gallery_picture
from pages.frame.words import MARKS, OUTCOMES, strategy_titles
from pages.reroute_view.composer import compose
from pages.reroute_view.controls import controls
from pages.reroute_view.link import Starts
from r2t2_core.engine import Engine
from r2t2_core.errors import WorkbenchError
from r2t2_core.gallery import GalleryCase
from r2t2_core.i18n import gettext as _
from r2t2_core.i18n import translate_error
from r2t2_core.intake.image import read_image
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy, parse_params, strategies
from r2t2_core.strategies.base import Params

PICTURE_HEIGHT = 320


@dataclass(frozen=True)
class Request:
    """All that a decision depends on, as the person has set it now."""

    image: bytes | None
    question: str
    label: str | None
    strategy: str
    retrieval: RetrievalParams
    parameters: dict[str, Params] = field(default_factory=dict)
    case: str | None = None
    """The gallery's case, where picture, question and right answer are its own."""

    @property
    def key(self) -> str:
        """Hash of everything, to tell a fresh result from a stale one."""
        rest = [
            self.question,
            self.label,
            self.strategy,
            self.retrieval.model_dump(),
            {name: params.model_dump() for name, params in self.parameters.items()},
        ]
        digest = hashlib.sha256(self.image or b"")
        digest.update(json.dumps(rest, sort_keys=True).encode())
        return digest.hexdigest()


def read_request(engine: Engine, starts: Starts) -> tuple[Request, bool]:
    """Show the inputs; return what they say, and whether the button was pressed.

    Parameters
    ----------
    engine : Engine
    starts : Starts
        Where the settings begin.
    """
    settings = _settings(starts)
    handed = handed_case()
    source = st.segmented_control(
        _("Picture from"),
        ["gallery", "upload", "compose", *([HANDED] if handed else [])],
        format_func=lambda name: {
            "gallery": _("Gallery"), "upload": _("Upload"), "compose": _("Compose a scene"),
            HANDED: _("Case"),
        }[name],
        default="gallery",
        required=True,
        key="source",
        label_visibility="collapsed",
        width="stretch",
    )  # fmt: skip
    case = _chosen_case() if source == "gallery" else None
    if case is not None:
        image: bytes | None = gallery_picture(case.image)
    elif source == HANDED and handed is not None:
        image = handed.image
    else:
        image = _uploaded() if source == "upload" else compose()
    if image and source != "compose":
        _show_picture(image)
    # Keyed by the case, so that another one brings its own question.
    place = case.id if case else source
    given = case.question if case else ""
    if source == HANDED and handed is not None:
        given = handed.question
        place = f"handed.{hashlib.sha256(handed.image + given.encode()).hexdigest()[:12]}"
    question = st.text_input(
        _("Question (in English)"),
        value=given,
        placeholder="Where is the chair?",
        key=f"question.{place}",
    )
    known = case.label if case and question == case.question else None
    if source == HANDED and handed is not None and question == handed.question:
        known = handed.label
    label = _read_label(engine, known, image, question, place)
    pressed = st.button(
        _("Answer, and re-route"), type="primary", width="stretch", key="go",
        icon=":material/alt_route:",
    )  # fmt: skip
    own = case is not None and (question, label) == (case.question, case.label)
    request = Request(
        image,
        question,
        label,
        settings.strategy,
        settings.retrieval,
        settings.parameters,
        case.id if case is not None and own else None,
    )
    return request, pressed


def _read_label(
    engine: Engine, known: str | None, image: bytes | None, question: str, place: str
) -> str | None:
    """Show the optional right answer; it is known for cases of the gallery and of a run."""
    answers = sorted(engine.model.answers)
    # Keyed by picture and question: the right answer to another question is no right answer.
    about = hashlib.sha256((image or b"") + question.encode()).hexdigest()[:12]
    return st.selectbox(
        _("Right answer, if you know it"),
        answers,
        index=answers.index(known) if known in answers else None,
        placeholder=_("not known"),
        key=f"label.{place}.{about}",
        help=_("Lets the page say who was right, and adds the oracle to the comparison."),
    )


@dataclass(frozen=True)
class _Settings:
    strategy: str
    retrieval: RetrievalParams
    parameters: dict[str, Params]


def _settings(starts: Starts) -> _Settings:
    """Show the settings in the sidebar, from where they begin."""
    titles = strategy_titles()
    usable = [name for name, entry in strategies().items() if not entry.is_control]
    with st.sidebar:
        strategy = st.selectbox(
            _("Strategy whose answer counts"),
            usable,
            usable.index(starts.strategy),
            format_func=titles.__getitem__,
            key="strategy",
            help=_("All strategies are computed and compared; this one gives the answer after."),
        )
        with st.expander(_("Neighbours")):
            values = controls(RetrievalParams, starts.retrieval, "retrieval")
        parameters: dict[str, Params] = {}
        for name in strategies():
            entry = get_strategy(name)
            if not entry.params.model_fields:
                continue
            with st.expander(titles[name]):
                st.caption(_(entry.summary))
                start = starts.parameters[name]
                chosen: dict[str, Any] = controls(entry.params, start, f"params.{name}")
                parameters[name] = parse_params(entry, chosen)
    return _Settings(strategy, RetrievalParams.parse(values), parameters)


def _chosen_case() -> GalleryCase:
    cases = gallery()
    numbers = {case.id: number for number, case in enumerate(cases, start=1)}
    identifiers = list(numbers)
    if st.session_state.get("case") not in numbers:
        st.session_state["case"] = identifiers[0]
    chosen = st.selectbox(
        _("Case"),
        identifiers,
        format_func=lambda name: _case_title(next(c for c in cases if c.id == name), numbers[name]),
        key="case",
        label_visibility="collapsed",
    )
    return next(case for case in cases if case.id == chosen)


def _case_title(case: GalleryCase, number: int) -> str:
    # The marks come first, since a long question pushes the words out of sight.
    return f"{MARKS[case.outcome]}  {number}. {case.question}  ·  {_(OUTCOMES[case.outcome])}"


def _uploaded() -> bytes | None:
    file = st.file_uploader(
        _("Picture"),
        type=None,
        key="upload",
        label_visibility="collapsed",
        help=_("PNG, JPEG, WebP, GIF, BMP or TIFF."),
    )
    return file.getvalue() if file else None


def _show_picture(image: bytes) -> None:
    """Show a picture at a height that leaves room for the rest; say why where it cannot be read."""
    try:
        picture = read_image(image)
    except WorkbenchError as error:
        message, remedy = translate_error(error)
        st.error(f"{message} {remedy}", icon=":material/broken_image:")
        return
    shown = picture.image.copy()
    shown.thumbnail((640, PICTURE_HEIGHT * 2), Image.Resampling.LANCZOS)
    width = min(420, round(shown.width * PICTURE_HEIGHT / shown.height))
    buffer = BytesIO()
    shown.save(buffer, "PNG")
    st.image(buffer.getvalue(), width=width, alt=_("The picture that the question is about"))
    for note in picture.notes:
        st.caption(_(note))

"""The reference-set page on a small set whose map is known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.frame import loading
from pages.reference_view import samples as kept
from pages.reference_view.chosen import Chosen
from r2t2_core.projection import Projection
from r2t2_core.projection_store import ProjectionStore
from tests.pages.test_compare_page import text_of

PAGE = Path(__file__).resolve().parents[2] / "pages" / "reference_set.py"

N = 60
HASH = "5e7" + "0" * 61
EXPERTS = ("colour", "position", "language")
PLACES = np.random.default_rng(1).normal(size=(N, 2)).astype(np.float32)


class SmallSet:
    """What the page reads of a reference set."""

    def __init__(self, root: Path) -> None:
        generator = np.random.default_rng(0)
        self.root = root
        self.manifest = SimpleNamespace(
            name="small", size=N, content_hash=HASH, experts=EXPERTS,
            image_mean=(0.0,) * 4, image_scale=(1.0,) * 4,
        )  # fmt: skip
        vectors = generator.normal(size=(N, 6))
        self.embeddings = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(
            np.float32
        )
        self.image_features = generator.normal(size=(N, 4)).astype(np.float32)
        self.router_routing = generator.dirichlet(np.ones(3), N).astype(np.float32)

    def __len__(self) -> int:
        return N

    def routing_for(self, policy: str) -> np.ndarray:
        assert policy == "refined"
        return self.router_routing[::-1]

    def column(self, name: str) -> list[Any]:
        rows = range(N)
        return {
            "id": [f"ref-{row:03d}" for row in rows],
            "question": [f"where is thing {row}?" for row in rows],
            "label": ["left"] * N,
            "model_answer": ["left" if row % 4 else "right" for row in rows],
            "is_correct": [bool(row % 4) for row in rows],
            "refined_correct": [True] * N,
            "family": ["where" if row < 40 else "count" for row in rows],
            "style": ["plain"] * N,
            "image": ["picture.png"] * N,
        }[name]

    def image_path(self, row: int) -> Path:
        return self.root / "picture.png"


@pytest.fixture
def reference(tmp_path, monkeypatch) -> SmallSet:
    Image.new("RGB", (32, 24), "#12a37f").save(tmp_path / "picture.png")
    made = SmallSet(tmp_path)
    engine = SimpleNamespace(
        reference=made,
        # Any question means what the third sample means.
        embedder=SimpleNamespace(embed=lambda texts: made.embeddings[[2] * len(texts)]),
    )
    for cached in (loading.load_engine, kept.samples_of, kept.vectors_of, kept._kept):
        cached.clear()
    monkeypatch.setattr("r2t2_core.engine.Engine.load", classmethod(lambda cls, settings: engine))
    store = ProjectionStore(tmp_path / "data" / "projections")
    for space in ("questions", "routing"):
        nearness = np.linspace(0.2, 0.9, N).astype(np.float32)
        store.save(Projection(space, HASH, PLACES, nearness, 0.5))
    yield made
    for cached in (loading.load_engine, kept.samples_of, kept.vectors_of, kept._kept):
        cached.clear()


def opened(**state: object) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    for key, value in state.items():
        app.session_state[key.replace("_", ".")] = value
    app.run()
    assert not app.exception
    assert not app.error
    return app


def charts(app: AppTest) -> list[list[dict[str, Any]]]:
    """Return the traces of every chart."""
    return [json.loads(chart.proto.spec)["data"] for chart in app.get("plotly_chart")]


def symbols(traces: list[dict[str, Any]]) -> list[str]:
    return [trace.get("marker", {}).get("symbol") for trace in traces]


def test_the_map_the_profile_and_how_far_to_trust_them(reference):
    app = opened()
    text = text_of(app)
    assert "“small”: 60 solved examples" in text
    assert "The router answers **75.0%** of these 60 samples correctly" in text
    assert "50% are among its 15 nearest here" in text
    # Map, profile, families.
    assert len(charts(app)) == 3
    drawn = charts(app)[0]
    assert [trace["type"] for trace in drawn] == ["scattergl"] * 2
    assert "star" not in symbols(drawn)


@pytest.mark.parametrize("colour", ["family", "expert", "refined", "correct", "style", "density"])
def test_every_colour_draws_the_map(reference, colour):
    app = opened()
    app.selectbox(key="map.colour").set_value(colour).run()
    assert not app.exception
    drawn = charts(app)[0]
    assert {trace["type"] for trace in drawn} == {"scattergl"}
    assert sum(len(trace["text"]) for trace in drawn) == N


def test_what_is_chosen_is_listed_with_pictures_and_compared_with_the_rest(reference):
    rows = np.arange(40, 60)
    app = opened(map_chosen=Chosen(HASH, rows))
    text = text_of(app)
    assert "20 samples are chosen" in text
    assert "of these 20 samples correctly" in text
    assert "Of the rest it is 75.0% and 100.0%." in text
    table = next(frame.value for frame in app.dataframe if "picture" in frame.value)
    assert table["sample"].tolist() == [f"ref-{row:03d}" for row in rows]
    assert table["picture"].iloc[0].startswith("data:image/jpeg")
    profile = next(frame.value for frame in app.dataframe if "difference" in frame.value)
    expected = reference.router_routing[40:].mean(0) - reference.router_routing[:40].mean(0)
    np.testing.assert_allclose(profile["difference"], expected, atol=2e-4)
    app.button(key="map.none").click().run()
    assert "The whole reference set" in text_of(app)


def test_a_choice_of_another_version_is_not_shown(reference):
    app = opened(map_chosen=Chosen("f" * 64, np.arange(5)))
    assert "The whole reference set" in text_of(app)


def test_search_by_words_and_by_id(reference):
    app = opened()
    app.text_input(key="map.search.words").set_value("where?")
    next(button for button in app.button if button.label == "Search").click().run()
    assert not app.exception
    table = next(frame.value for frame in app.dataframe if "picture" in frame.value)
    assert table["sample"].iloc[0] == "ref-002"
    assert table["similarity"].iloc[0] == pytest.approx(1, abs=1e-5)
    assert table["similarity"].is_monotonic_decreasing
    app.session_state["map.search.way"] = "id"
    app.run()
    app.text_input(key="map.search.id").set_value("REF-00")
    next(button for button in app.button if button.label == "Search").click().run()
    table = next(frame.value for frame in app.dataframe if "picture" in frame.value)
    assert table["sample"].tolist() == [f"ref-{row:03d}" for row in range(10)]


@pytest.mark.parametrize("space", ["questions", "routing"])
def test_the_question_of_the_re_route_page_is_drawn_in(reference, space):
    decision = SimpleNamespace(
        reference=SimpleNamespace(content_hash=HASH),
        input=SimpleNamespace(question="where is my key?"),
        neighbours=(SimpleNamespace(id="ref-002"), SimpleNamespace(id="gone")),
        strategy="ngd",
        trajectory=lambda name: SimpleNamespace(
            steps=[SimpleNamespace(routing=reference.router_routing[row]) for row in (1, 2)]
        ),
    )
    app = opened(decision=("key", decision), map_space=space)
    drawn = charts(app)[0]
    star = drawn[symbols(drawn).index("star")]
    assert star["text"] == ["where is my key?"]
    # Placed on the third sample, which it equals in both spaces.
    assert np.allclose([star["x"][0], star["y"][0]], PLACES[2], atol=1e-4)
    # One of its neighbours is in this version, the other is not.
    rings = drawn[symbols(drawn).index("circle-open")]
    assert rings["text"] == ["where is thing 2?"]
    assert "The star is the question of the re-route page" in text_of(app)


def test_japanese_has_no_english_sentence_left(reference):
    app = opened(language="ja", map_chosen=Chosen(HASH, np.arange(4)))
    text = text_of(app)
    assert "参照セット" in text
    for words in ("samples", "The router", "nearest", "Reference"):
        assert words not in text, words

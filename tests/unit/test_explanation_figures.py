"""What is drawn equals the record."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pages.frame.words import expert_names, strategy_titles
from r2t2_core.analysis import (
    Analysis,
    AnswerGiven,
    LandscapePoint,
    NeighbourCause,
    Occlusion,
    OcclusionMap,
)
from r2t2_core.explain.landscape import place_in
from r2t2_core.figures.causes import answers_between, loss_between, neighbour_shares
from r2t2_core.figures.occlusion import DARKEST, light, spotlight
from r2t2_core.figures.simplex import Scene, flat_view, parallel_axes
from r2t2_core.figures.style import EXPERT_COLOURS


def trace(figure, name):
    return next(entry for entry in figure.data if entry.name == name)


def rows_of(drawn, size):
    """The lines of a trace that holds several, parted by gaps."""
    values = list(drawn.y)
    assert all(value is None for value in values[size :: size + 1])
    return [values[start : start + size] for start in range(0, len(values), size + 1)]


@pytest.fixture(scope="module")
def scene(engine, cases, gallery_dir):
    from r2t2_core.explain.analyse import analyse

    picture = (gallery_dir / cases[0].image).read_bytes()
    decision = engine.answer(picture, cases[0].question, label=cases[0].label)
    plane = analyse(engine, decision, picture).planes[0]
    block = slice(0, len(decision.system.gates[0].experts))
    names, titles = expert_names(decision), strategy_titles()
    marked = decision.neighbours[1].id
    return Scene(decision, plane, block, names, titles, "ngd", 3, marked)


def test_parallel_axes_draw_the_step_the_router_and_every_neighbour(scene):
    figure = parallel_axes(scene)
    record = scene.decision.trajectory("ngd")
    here = trace(figure, f"{scene.titles['ngd']}, step 3")
    assert list(here.y) == list(record.steps[3].routing)
    size = len(scene.experts)
    assert rows_of(trace(figure, "router's own"), size) == [list(record.steps[0].routing)]
    neighbours = scene.decision.neighbours
    assert rows_of(trace(figure, "neighbours"), size) == [list(n.routing) for n in neighbours]
    (marked,) = [entry for entry in figure.data if entry.name == scene.marked]
    assert rows_of(marked, size) == [list(neighbours[1].routing)]
    band = trace(figure, "reference set: middle 50 %")
    assert list(band.y[:size]) == list(scene.plane.quantiles[3])
    assert list(band.y[size:]) == list(reversed(scene.plane.quantiles[1]))
    others = [point for point in record.steps[1:] if point.step != 3]
    assert rows_of(trace(figure, "other steps"), size) == [list(p.routing) for p in others]


def test_the_flat_view_stands_where_the_record_says(scene):
    figure = flat_view(scene)
    record = scene.decision.trajectory("ngd")
    way = trace(figure, scene.titles["ngd"])
    expected = [place_in(scene.plane, tuple(point.routing)) for point in record.steps]
    assert np.column_stack([way.x, way.y]) == pytest.approx(np.array(expected))
    assert [list(row) for row in way.customdata] == [
        [point.step, point.answer, "ngd"] for point in record.steps
    ]
    (star,) = [entry for entry in figure.data if entry.name == "step 3"]
    assert (star.x[0], star.y[0]) == pytest.approx(expected[3])
    neighbours = trace(figure, "neighbours")
    assert [row[0] for row in neighbours.customdata] == [n.id for n in scene.decision.neighbours]
    heat = trace(figure, "reference set")
    assert np.array(heat.customdata).sum() == scene.plane.size
    drawn = {entry.name for entry in figure.data}
    for other in scene.decision.trajectories:
        assert len(other.steps) < 2 or scene.titles[other.strategy] in drawn


def cause(name, *, decides, gradient, pull):
    return NeighbourCause(
        id=name, kernel_weight=0.5, without=AnswerGiven(answer="no", probability=0.6),
        routing_without=(0.5, 0.5), loss_without=0.1, decides=decides, gradient_share=gradient,
        pull_share=pull, answered_before=False, answered_after=True,
    )  # fmt: skip


def test_shares_and_deciding_neighbours_are_those_of_the_record():
    causes = (
        cause("a", decides=True, gradient=0.7, pull=1.2),
        cause("b", decides=False, gradient=0.3, pull=-0.2),
    )
    figure = neighbour_shares(Analysis.model_construct(neighbours=causes))
    assert list(trace(figure, "part of the gradient").x) == [0.7, 0.3]
    assert list(trace(figure, "part of the way to their mean").x) == [1.2, -0.2]
    assert list(trace(figure, "the answer hangs on it").y) == ["a"]
    calm = Analysis.model_construct(neighbours=(causes[1],))
    assert "the answer hangs on it" not in {entry.name for entry in neighbour_shares(calm).data}


def test_the_way_between_two_routings_is_drawn_as_it_was_measured():
    points = [
        LandscapePoint(
            share=share, routing=(1.0,), surrogate_loss=loss, before=1 - share, after=share,
            answer="no" if share < 0.5 else "yes",
        )
        for share, loss in ((0.0, 2.0), (0.25, 1.0), (0.5, 0.4), (1.0, 0.6))
    ]  # fmt: skip
    figure = loss_between(points)
    assert list(figure.data[0].y) == [2.0, 1.0, 0.4, 0.6]
    assert (figure.data[1].x[0], figure.data[1].y[0]) == (0.5, 0.4)
    figure = answers_between(points, "no", "yes")
    assert [list(entry.y) for entry in figure.data] == [[1, 0.75, 0.5, 0], [0, 0.25, 0.5, 1]]
    assert [shape.x0 for shape in figure.layout.shapes] == [0.375]
    assert len(answers_between(points, "no", "no").data) == 1


def occlusion():
    hot = ((0.0, 0.0), (0.0, 0.8))
    maps = tuple(
        OcclusionMap(about="expert", expert=name, gate="g", answer="x", effect=effect, total=0.2)
        for name, effect in (("position", hot), ("language", ((0.0, 0.0), (0.0, 0.0))))
    )
    return Occlusion(grid=2, window=0.5, fill="mean colour", maps=maps)


def test_light_falls_where_hiding_matters_and_nowhere_else():
    found = occlusion()
    shade = light(found, found.maps[0], 40, 20)
    assert shade.shape == (20, 40)
    assert shade[15, 35] == pytest.approx(1)
    assert shade[2, 2] == pytest.approx(DARKEST)
    assert light(found, found.maps[1], 40, 20).max() == pytest.approx(DARKEST)


def test_the_lit_picture_keeps_its_shape():
    found = occlusion()
    picture = Image.new("RGB", (80, 40), (200, 100, 50))
    lit = np.asarray(Image.open(BytesIO(spotlight(picture, found, found.maps[0]))))
    assert lit.shape == (40, 80, 3)
    assert tuple(lit[35, 70]) == (200, 100, 50)
    assert tuple(lit[3, 3]) == (32, 16, 8)


def simulate(colour: str, matrix: np.ndarray) -> np.ndarray:
    """A colour as a colour-blind reader sees it, in linear light (Machado et al. 2009)."""
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return lab(np.clip(matrix @ linear, 0, 1))


def lab(linear: np.ndarray) -> np.ndarray:
    xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ) @ linear / np.array([0.9505, 1.0, 1.089])  # fmt: skip
    cube = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * cube[1] - 16, 500 * (cube[0] - cube[1]), 200 * (cube[1] - cube[2])])


SIGHTS = {
    "full": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.01182, 0.04294, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
}  # fmt: skip


@pytest.mark.parametrize("sight", SIGHTS)
def test_experts_are_told_apart_by_colour_blind_readers(sight):
    seen = [simulate(colour, np.array(SIGHTS[sight])) for colour in EXPERT_COLOURS]
    distances = [
        np.linalg.norm(one - other) for place, one in enumerate(seen) for other in seen[:place]
    ]
    # Twice the difference that a trained eye just sees side by side is 4.6 (CIE 1976).
    assert min(distances) > 9

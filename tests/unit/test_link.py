"""A permanent link says what it must, and nothing that cannot be."""

from __future__ import annotations

import pytest

from r2t2_core.errors import ParameterError
from r2t2_core.explain.link import Link, changed, read_link
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy


def test_a_link_survives_the_address():
    link = Link(
        case="case-1",
        strategy="ngd",
        retrieval={"n_neighbours": "7", "kernel": "matern"},
        parameters={"ngd": {"step_size": "0.2"}, "mode_finding": {"steps": "3"}},
        shown="mode_finding",
        step=2,
    )
    assert read_link(link.query()) == link
    assert read_link({}) is None
    assert read_link({"embed": "true"}) is None


def test_what_a_link_leaves_out_is_as_it_was_chosen():
    default = RetrievalParams(n_neighbours=9, policy="refined")
    link = Link(case="x", retrieval={"kernel": "linear"}, parameters={"ngd": {"steps": "4"}})
    assert link.retrieval_from(default) == default.model_copy(update={"kernel": "linear"})
    usual = get_strategy("ngd").params()
    assert link.parameters_from("ngd", usual) == usual.model_copy(update={"steps": 4})
    assert link.parameters_from("mode_finding", get_strategy("mode_finding").params()) == (
        get_strategy("mode_finding").params()
    )
    now = default.model_copy(update={"n_neighbours": 3})
    assert changed(now, default) == {"n_neighbours": "3"}
    assert changed(default, default) == {}


@pytest.mark.parametrize(
    "query",
    [
        {"case": "x", "strategy": "magic"},
        {"case": "x", "shown": "<script>"},
        {"decision": "../../etc/passwd"},
        {"case": "x", "step": "-1"},
        {"case": "x", "step": "99999"},
        {"case": "x", "magic.steps": "3"},
        {"case": "x", "retrieval.kernel": "x" * 500},
    ],
)
def test_a_damaged_link_is_refused_in_one_sentence(query):
    with pytest.raises(ParameterError, match="The link says"):
        read_link(query)


def test_a_parameter_out_of_bounds_is_named():
    link = read_link({"case": "x", "retrieval.n_neighbours": "0"})
    with pytest.raises(ParameterError, match="n_neighbours"):
        link.retrieval_from(RetrievalParams())

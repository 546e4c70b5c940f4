"""The shipped model as a citizen of transformers."""

from __future__ import annotations

import copy

import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForVisualQuestionAnswering, AutoProcessor

from r2t2_core.errors import ModelError
from r2t2_core.models.fingerprint import fingerprint
from r2t2_core.models.scene_moe import (
    OWNERS,
    SceneMoeAdapter,
    SceneMoeConfig,
    SceneMoeForQuestionAnswering,
    SceneMoeProcessor,
)
from r2t2_core.routing import project_top_k
from r2t2_core.scenes.questions import FAMILIES
from r2t2_core.settings import Settings
from r2t2_core.types import GateSpec, RoutingSpec, Sample


@pytest.fixture(scope="module")
def tiny() -> SceneMoeForQuestionAnswering:
    torch.manual_seed(3)
    config = SceneMoeConfig(channels=8, token_size=8, hidden_size=12, answers=["a", "b", "c"])
    return SceneMoeForQuestionAnswering(config).eval()


def inputs(rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "pixel_values": torch.rand(rows, 3, 64, 64, generator=generator) * 2 - 1,
        "input_ids": torch.randint(5, 30000, (rows, 6), generator=generator),
        "attention_mask": torch.ones(rows, 6, dtype=torch.int64),
    }


def test_a_model_comes_back_as_it_was_saved(tiny, tmp_path):
    tiny.save_pretrained(str(tmp_path))
    again = SceneMoeForQuestionAnswering.from_pretrained(str(tmp_path)).eval()
    assert fingerprint(again) == fingerprint(tiny)
    assert again.config.to_dict()["answers"] == ["a", "b", "c"]
    with torch.no_grad():
        assert torch.equal(again(**inputs(2)).logits, tiny(**inputs(2)).logits)


def test_the_auto_classes_know_the_shipped_model(engine):
    folder = str(Settings().model_dir)
    assert isinstance(AutoConfig.from_pretrained(folder), SceneMoeConfig)
    assert isinstance(AutoProcessor.from_pretrained(folder), SceneMoeProcessor)
    model = AutoModelForVisualQuestionAnswering.from_pretrained(folder)
    assert fingerprint(model) == fingerprint(engine.model.model)


def test_output_holds_loss_logits_routing_and_expert_outputs(tiny):
    labels = torch.tensor([0, 2])
    output = tiny(**inputs(2), labels=labels)
    experts = len(tiny.config.experts)
    assert output.logits.shape == (2, 3)
    assert output.routing_weights.shape == (2, experts)
    assert output.expert_outputs.shape == (2, experts, 12)
    assert torch.allclose(output.routing_weights.sum(1), torch.ones(2))
    expected = torch.nn.functional.cross_entropy(output.logits, labels)
    assert torch.allclose(output.loss, expected)


def test_the_gate_mixes_the_two_heaviest_experts_and_no_other(tiny):
    with torch.no_grad():
        output = tiny(**inputs(4))
        routing = tiny.sparse(output.routing_weights)
    assert ((routing > 0).sum(1) == 2).all()
    spec = RoutingSpec((GateSpec("experts", tuple(tiny.config.experts), 2),))
    assert torch.equal(routing, project_top_k(output.routing_weights, spec))
    changed = output.expert_outputs.clone()
    changed[routing == 0] = 1e6
    with torch.no_grad():
        assert torch.equal(tiny.mix(changed, routing), output.logits)


def test_a_questions_encoding_does_not_depend_on_its_batch(tiny):
    batch = inputs(2)
    batch["attention_mask"][1, 3:] = 0
    with torch.no_grad():
        both = tiny(**batch).logits
        alone = tiny(
            batch["pixel_values"][1:], batch["input_ids"][1:, :3], batch["attention_mask"][1:, :3]
        ).logits
    assert torch.allclose(both[1:], alone, atol=1e-5)


def test_the_language_expert_does_not_see_the_picture(engine):
    dark, light = (Image.new("RGB", (64, 64), colour) for colour in ("black", "white"))
    question = "what colour is the cup?"
    prepared = engine.model.prepare([Sample(dark, question), Sample(light, question)])
    outputs = dict(zip(engine.model.routing_spec.experts, prepared.expert_outputs[0], strict=True))
    others = dict(zip(engine.model.routing_spec.experts, prepared.expert_outputs[1], strict=True))
    assert torch.allclose(outputs["language"], others["language"], atol=1e-6)
    for name in set(outputs) - {"language"}:
        assert not torch.allclose(outputs[name], others[name], atol=1e-3), name


def test_every_family_has_an_owner_among_the_experts(engine):
    assert set(OWNERS) == set(FAMILIES)
    assert set(OWNERS.values()) | {"language"} == set(engine.model.routing_spec.experts)


@pytest.mark.parametrize("what", ["answers", "gate", "tokenizer", "weights"])
def test_whatever_decides_an_answer_is_in_the_fingerprint(tiny, engine, what):
    model, tokenizer = copy.deepcopy(tiny), copy.deepcopy(engine.model.processor.tokenizer)
    before = SceneMoeAdapter(tiny, engine.model.processor).fingerprint()
    if what == "answers":
        model.config.answers = model.config.answers[::-1]
    elif what == "gate":
        model.config.num_experts_per_question = 3
    elif what == "weights":
        next(model.router.parameters()).data.add_(1e-6)
    else:
        tokenizer.backend_tokenizer.add_tokens(["chair-like"])
    after = SceneMoeAdapter(model, SceneMoeProcessor(tokenizer)).fingerprint()
    assert after != before
    assert SceneMoeAdapter(tiny, engine.model.processor).fingerprint() == before


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_model_is_an_error_with_a_remedy(tiny, tmp_path, damage):
    if damage == "truncated":
        tiny.save_pretrained(str(tmp_path))
        weights = tmp_path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError) as caught:
        SceneMoeAdapter.load(tmp_path)
    assert "Restore the folder" in str(caught.value)

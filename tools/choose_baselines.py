"""Choose the settings of the baselines that change weights, on the validation split.

    python -m tools.choose_baselines

Prints the accuracy of each candidate; the best of each baseline are the defaults of
`AdaptationSettings`. Tent and MEMO are tried on the first questions only, since they are slow.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import typer
from PIL import Image

from r2t2_core.engine import Engine
from r2t2_core.evaluation.suites import load_suite
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.models.scene_moe.adaptation import AdaptationSettings, SceneMoeAdaptation
from r2t2_core.settings import Settings
from r2t2_core.types import Sample
from tools.build_suites import Recipe, build
from tools.splits import SPLITS

ROUTER_EPOCHS = (20, 60, 150, 400)
ROUTER_STEPS = (1e-3, 3e-3)
STEPS = (3e-4, 1e-3, 3e-3, 1e-2)
BATCH = 64


def main(tent_questions: int = 512, memo_questions: int = 192) -> None:
    """Try all candidates and print them."""
    torch.set_num_threads(2)
    engine = Engine.load(Settings())
    model = engine.model
    assert isinstance(model, SceneMoeAdapter)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "validation"
        build(Recipe("validation", "", SPLITS["validation"]), root)
        suite = load_suite(root)
        samples = [
            Sample(Image.open(entry.image).convert("RGB"), entry.question)
            for entry in suite.samples
        ]
    labels = torch.tensor([model.answers.index(entry.answer) for entry in suite.samples])
    reference = engine.reference
    references = [
        Sample(Image.open(reference.image_path(row)).convert("RGB"), reference.sample(row).question)
        for row in range(len(reference))
    ]

    def tell(name: str, probabilities: torch.Tensor) -> None:
        right = probabilities.argmax(1) == labels[: len(probabilities)]
        print(f"{name}: {right.float().mean():.1%} of {len(right)}", flush=True)

    base = model.answer(model.prepare(samples))
    for count in (len(samples), tent_questions, memo_questions):
        tell("router", base[:count])
    default = AdaptationSettings()
    for epochs in ROUTER_EPOCHS:
        for step in ROUTER_STEPS:
            settings = replace(default, router_epochs=epochs, router_step=step)
            tuned = SceneMoeAdaptation(model, settings).finetune_router(
                references, torch.from_numpy(reference.labels)
            )
            answers = tuned.answer(tuned.prepare(samples))
            tell(f"router fine-tuned, {epochs} epochs, step {step:g}", answers)
    for steps in (1, 5):
        for step in STEPS:
            settings = replace(default, tent_steps=steps, tent_step=step)
            adaptation = SceneMoeAdaptation(model, settings)
            parts = [
                adaptation.tent(samples[start : start + BATCH])
                for start in range(0, tent_questions, BATCH)
            ]
            tell(f"tent, {steps} steps of {step:g}", torch.cat(parts))
    for step in STEPS:
        adaptation = SceneMoeAdaptation(model, replace(default, memo_step=step))
        tell(f"memo, step {step:g}", adaptation.memo(samples[:memo_questions]))


if __name__ == "__main__":
    typer.run(main)

"""Measure re-routing against fine-tuning the router: `sample_data/evaluation/upkeep.json`.

python -m tools.measure_upkeep [--out FOLDER]

Run it on an idle machine; it takes a minute or two.
"""

from __future__ import annotations

from pathlib import Path

import typer
from PIL import Image

from r2t2_core.engine import Engine
from r2t2_core.evaluation.runner import Run
from r2t2_core.evaluation.upkeep import FILE, measure_upkeep
from r2t2_core.settings import Settings
from r2t2_core.types import Sample

QUESTIONS = 100


def main(out: Path | None = None, questions: int = QUESTIONS) -> None:
    """Measure, and write the file."""
    settings = Settings.from_environment()
    shipped = settings.sample_data / "evaluation"
    engine = Engine.load(settings)
    # Distinct wordings: the embedder keeps what it has embedded.
    rows = Run.open(shipped).results.drop_duplicates("question")
    samples = []
    for row in rows.sample(min(questions, len(rows)), random_state=0).itertuples():
        path = Path(str(row.image))
        with Image.open(path if path.is_absolute() else settings.sample_data / path) as image:
            samples.append(Sample(image.convert("RGB"), str(row.question)))
    training = settings.model_dir / "training.json"
    measured = measure_upkeep(engine, samples, training, lambda stage: print(f"{stage} …"))
    folder = out or shipped
    folder.mkdir(parents=True, exist_ok=True)
    text = measured.model_dump_json(indent=1) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    typer.run(main)

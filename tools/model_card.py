"""Print what was measured, and what the model and its data are, into `docs/model-card.md`.

Everything between a pair of markers is written here, from a run (`tools/results.py`), the model's
configuration and the recipe of the splits; the prose around it is written by hand.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from r2t2_core.models.scene_moe import OWNERS, SceneMoeAdapter
from r2t2_core.scenes.questions import FAMILIES
from r2t2_core.scenes.world import KINDS
from r2t2_core.settings import SAMPLE_DATA, Settings
from tools.splits import FAVOURITES, NARROW, SPLITS

CARD = SAMPLE_DATA.parent / "docs" / "model-card.md"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def facts(model: SceneMoeAdapter) -> list[str]:
    """Return the model's sizes."""
    parameters = sum(parameter.numel() for parameter in model.model.parameters())
    frozen = model.model.question_encoder.embedding.weight.numel()
    experts = model.routing_spec.experts
    owned: dict[str, list[str]] = {expert: [] for expert in experts}
    for family, expert in OWNERS.items():
        owned[expert].append(family)
    size = (Settings().model_dir / "model.safetensors").stat().st_size
    rows = [
        ["parameters", f"{parameters:,}, of them {frozen:,} frozen word-piece embeddings"],
        ["weights", f"{size / 1e6:.1f} MB, safetensors"],
        ["experts", "; ".join(f"{e} ({', '.join(f) or 'sees only the question'})"
                              for e, f in owned.items())],
        ["gate", f"top {model.routing_spec.gates[0].top_k} of {len(experts)}"],
        ["answers", str(len(model.answers))],
        ["kinds of things", f"{len(KINDS)}, and signs, gauges, bar charts"],
    ]  # fmt: skip
    return table(["", ""], rows)


def mix() -> list[str]:
    """Return the narrow mix of the second stage."""
    acceptance = SPLITS["train-2"].acceptance
    rows = [
        ["relative frequency", *(f"{weight:g}" for weight in NARROW)],
        ["favourite answer", *(FAVOURITES[family] for family in FAMILIES)],
    ]
    note = (
        "A question whose answer is not its family's favourite is kept with a chance of "
        f"{acceptance:.0%}."
    )
    return [*table(["stage 2", *FAMILIES], rows), note, ""]


def splits() -> list[str]:
    """Return how the splits are drawn."""
    rows = []
    for split in SPLITS.values():
        styles = Counter(split.styles)
        rows.append(
            [
                split.name,
                f"{split.scenes:,} × {split.questions}",
                ", ".join(f"{n} {s}" if len(styles) > 1 else s for s, n in styles.items()),
                ", ".join(split.phrasings),
                "skewed" if split.acceptance < 1 else "natural",
                f"{split.seed:,}",
            ]
        )
    head = ["split", "scenes × questions", "styles", "wordings", "priors", "first seed"]
    return table(head, rows)


def router(record: dict[str, Any]) -> list[str]:
    """Return the router's mean dense weights by family, over all suites."""
    rows = [
        [family, *(f"{weight:.2f}" for weight in weights)]
        for family, weights in record["router_by_family"].items()
    ]
    return table(["family", *record["about"]["experts"]], rows)


def results(record: dict[str, Any]) -> list[str]:
    """Return the chief rows, suite by suite."""
    chief = ("base", "kernel_regression", "ngd", "ngd@correct_only:n_neighbours=5",
             "random_neighbours", "own_expert", "oracle")  # fmt: skip
    suites = list(dict.fromkeys(entry["suite"] for entry in record["scores"]))
    found = {(entry["suite"], entry["method"]): entry for entry in record["scores"]}
    rows = []
    for method in chief:
        entries = [found[suite, method] for suite in suites]
        rows.append([f"`{method}`", *(f"{entry['accuracy']:.1%}" for entry in entries)])
        if method == record["default"]:
            gated = [f"{entry['gated_accuracy']:.1%}" for entry in entries]
            rows.append([f"**`{method}`, behind the gate**", *gated])
    counts = [f"{suite} ({found[suite, 'base']['n']:,})" for suite in suites]
    return table(["routing", *counts], rows)


def harm(record: dict[str, Any]) -> list[str]:
    """Return how often the default breaks a right answer, without and behind the gate."""
    bound = record["about"]["thresholds"]["harm_bound"]
    rows = []
    for entry in record["scores"]:
        if entry["method"] != record["default"]:
            continue
        base = next(e for e in record["scores"]
                    if (e["suite"], e["method"]) == (entry["suite"], "base"))  # fmt: skip
        right = round(base["accuracy"] * base["n"])
        behind = entry["gated_broken"] / right
        rows.append(
            [
                entry["suite"],
                f"{entry['broken']} of {right:,} ({entry['broken'] / right:.1%})",
                f"{entry['gated_broken']} of {right:,} ({behind:.1%})",
                "yes" if behind <= bound else "**no**",
                f"{entry['fixed']:,}",
                f"{entry['gated_fixed']:,}",
            ]
        )
    head = ["suite", "broken, without the gate", "broken, behind it", f"within {bound:.0%}?",
            "fixed, without", "fixed, behind"]  # fmt: skip
    return table(head, rows)


def reach(record: dict[str, Any]) -> list[str]:
    """Return what the gate admits of inputs that did not calibrate it."""
    rows = [
        [
            name,
            str(count["cases"]),
            f"{count['admitted']} ({count['admitted'] / count['cases']:.0%})",
        ]
        for name, count in record["reach"].items()
    ]
    return table(["input", "cases", "admitted"], rows)


def leakage(record: dict[str, Any]) -> list[str]:
    """Return how much of the suites stands in the reference set, by wording and by both."""
    rows = [
        [
            name,
            f"{count['cases']:,}",
            f"{count['worded']:,} ({count['worded'] / count['cases']:.0%})",
            f"{count['both']:,} ({count['both'] / count['cases']:.2%})",
        ]
        for name, count in record["leakage"].items()
    ]
    return table(["suite", "questions", "same wording", "same wording and picture"], rows)


def write(record: dict[str, Any], model: SceneMoeAdapter) -> None:
    """Write every part of the card that is not prose."""
    parts = {
        "facts": facts(model),
        "mix": mix(),
        "splits": splits(),
        "results": results(record),
        "harm": harm(record),
        "router": router(record),
        "reach": reach(record),
        "leakage": leakage(record),
    }
    card = CARD.read_text(encoding="utf-8")
    for name, lines in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, rest = card.split(begin)
        card = f"{head}{begin}\n\n" + "\n".join(lines) + f"\n{end}{rest.split(end)[1]}"
    CARD.write_text(card, encoding="utf-8")

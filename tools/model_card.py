"""Print what was measured, and what the model and its data are, into `docs/model-card.md`.

Everything between a pair of markers is written here, from a run (`tools/results.py`), the model's
configuration and the recipe of the splits; the prose around it is written by hand.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from r2t2_core.evaluation.metrics import ALL
from r2t2_core.models.scene_moe import OWNERS, SceneMoeAdapter
from r2t2_core.scenes.phrasings import LANGUAGES
from r2t2_core.scenes.questions import FAMILIES
from r2t2_core.scenes.world import KINDS
from r2t2_core.settings import SAMPLE_DATA, Settings
from tools.splits import BROAD, FAVOURITES, NARROW, SKEWED, SPLITS

Record = dict[str, Any]

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
    """Return the mixes of the two stages."""
    rows = [
        ["stage 1: relative frequency", *(f"{weight:g}" for weight in BROAD)],
        ["stage 2: relative frequency", *(f"{weight:g}" for weight in NARROW)],
        ["stage 2: favourite answer", *(FAVOURITES[family] for family in FAMILIES)],
        ["stage 2: other answers kept", *(f"{chance:.0%}" for chance in SKEWED)],
    ]
    return table(["", *FAMILIES], rows)


def priors(sanity: Record) -> list[str]:
    """Return the most frequent answers by family, in the narrow mix and in the test split."""
    rows = [
        [
            family,
            *(
                ", ".join(
                    f"{answer} {share:.0%}" for answer, share in sanity["priors"][name][family]
                )
                for name in ("train-2", "test")
            ),
        ]
        for family in FAMILIES
    ]
    return table(["family", "train-2", "test"], rows)


def competence(sanity: Record) -> list[str]:
    """Return accuracy at the own expert, by family, language and split."""
    columns = [
        (name, language) for name in ("clean", "test", "free-wordings") for language in LANGUAGES
    ]
    rows = []
    for family in FAMILIES:
        cells = [sanity["competence"][name][family].get(language) for name, language in columns]
        rows.append([family, *(f"{c[0]:.1%} ({c[1]})" if c else "" for c in cells)])
    return table(["family", *(f"{name}, {language}" for name, language in columns)], rows)


def sanity_rows(sanity: Record) -> list[str]:
    """Return what parts the router's share of the gap from the rest."""
    names = ("in-domain", "test", "free-wordings")
    counts = [f"{name} ({sanity['cases'][name]:,})" for name in names]
    told = [
        ("the shipped router", sanity["router"]),
        *((f"trained again, seed {seed}", row) for seed, row in sanity["router_by_seed"].items()),
        ("without the confidence penalty", sanity["router_without_penalty"]),
        ("trained on the broad mix", sanity["router_on_broad_mix"]),
        ("every question to its own expert", sanity["own_expert"]),
    ]
    rows = [[name, *(f"{row[split]:.1%}" for split in names)] for name, row in told]
    for name, share in sanity["text_only_on_test"].items():
        rows.append([f"the question alone ({name})", "", f"{share:.1%}", ""])
    return table(["router", *counts], rows)


def gate_curve(sanity: Record) -> list[str]:
    """Return how the router compares with equal and random weights, by the gate's top-k."""
    rows = [
        [
            f"{entry['top_k']:.0f}",
            *(f"{entry[name]:.1%}" for name in ("in_domain", "router", "uniform", "random")),
        ]
        for entry in sanity["gate_curve"]
    ]
    head = ["top-k", "router, in-domain", "router, test", "equal weights, test",
            "as many experts at random, test"]  # fmt: skip
    return table(head, rows)


def embedding(readout: Record) -> list[str]:
    """Return how well twins and tasks are found, by the task's share in the similarity."""
    groups = ("broad", "held_out", "free")
    rows = []
    for share, told in readout["tried"].items():
        mark = "**" if float(share) == readout["chosen_share"] else ""
        rows.append(
            [
                f"{mark}{share}{mark}",
                *(f"{told[group][key]:.1%}" for key in ("twin_among_five", "same_task_of_five")
                  for group in groups),
            ]
        )  # fmt: skip
    head = ["share", *(f"{what}, {group.replace('_', '-')}" for what in ("twin", "same task")
                       for group in groups)]  # fmt: skip
    return table(head, rows)


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
                "skewed" if min(split.acceptance) < 1 else "natural",
                f"{split.seed:,}",
            ]
        )
    head = ["split", "scenes × questions", "styles", "wordings", "priors", "first seed"]
    return table(head, rows)


def router(record: Record) -> list[str]:
    """Return the router's mean dense weights by family, over all suites."""
    rows = [
        [family, *(f"{weight:.2f}" for weight in weights)]
        for family, weights in record["router_by_family"].items()
    ]
    return table(["family", *record["about"]["experts"]], rows)


def results(record: Record) -> list[str]:
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


def harm(record: Record) -> list[str]:
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


def reach(record: Record) -> list[str]:
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


def leakage(record: Record) -> list[str]:
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


def further(scores: list[Record]) -> list[str]:
    """Return the chief methods on the suites that are run when they are named."""
    suites = list(dict.fromkeys(entry["suite"] for entry in scores))
    methods = list(dict.fromkeys(entry["method"] for entry in scores))
    found = {(entry["suite"], entry["method"]): entry for entry in scores}
    own = [suite for suite in suites if suite != ALL]
    rows = []
    for method in methods:
        cells = []
        for suite in own:
            entry = found[suite, method]
            low, high = (entry["low"], entry["high"])
            cells.append(
                f"{entry['accuracy']:.1%} ({low:.1%} to {high:.1%}), "
                f"{entry['fixed']} / {entry['broken']}"
            )
        rows.append([f"`{method}`", *cells])
    counts = [f"{suite} ({found[suite, 'base']['n']:,})" for suite in own]
    return table(["routing", *counts], rows)


def write(record: Record, model: SceneMoeAdapter) -> None:
    """Write every part of the card that is not prose."""
    sanity = json.loads((Settings().model_dir / "sanity.json").read_text(encoding="utf-8"))
    readout_path = Settings().readout_path.with_suffix(".json")
    readout = json.loads(readout_path.read_text(encoding="utf-8"))
    parts = {
        "facts": facts(model),
        "mix": mix(),
        "priors": priors(sanity),
        "competence": competence(sanity),
        "sanity": sanity_rows(sanity),
        "gate": gate_curve(sanity),
        "embedding": embedding(readout),
        "further": further(record["further"]),
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

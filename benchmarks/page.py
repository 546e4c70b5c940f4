"""docs/performance.md from what was measured; every number on it comes from the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks import rerouting as rows

WHY = """\
A plain answer of the frozen model is the unit: preparing picture and question, all experts, the
mix, the head. Everything on this page was measured in one run, repeats interleaved, medians;
ratios hold on other machines, milliseconds belong to this one.

## What the time is made of, and what was done about it

A re-route needs, beside the model's own answer: the stored expert outputs of its neighbours (read
from a memory-mapped file), and a loss that is evaluated at every step. The base is frozen, so
nothing before the mix is computed again.

- **Closed form instead of autograd.** What follows the mix is a perceptron of two layers. Its
  first layer is applied to the stored expert outputs once (k × E products of D × H), after which
  a step mixes E rows, applies H × A, and goes the same way back. The numbers are those of
  autograd (tested to 1e-12 in double precision, 1e-4 on the shipped model). A model with another
  head is differentiated by autograd, by the same code as before.
- **All points of a path at once.** Kernel Regression, Mode Finding and the controls evaluate the
  neighbours' loss at all their points in one product, where it was one call a point; so are the
  answers at all steps of a trajectory.
- **The weights are hashed while the record is written.** The SHA-256 over all weights after every
  decision stays (it is the proof that nothing was changed); it runs in a thread of its own,
  beside Python's work on the record. In a micro-batch one hash serves all its decisions.
- **The record** is made from Python numbers that are taken out of the tensors once, not one by
  one, and versions of libraries are read once.

The floor of a step is memory traffic: k × E × H × 4 bytes of projected outputs are read twice
(once to mix, once to pull the gradient back), some 0.2 MB for k = 20, E = 7, H = 192, which is
microseconds. What is left above it is the cost of calling some thirty small tensor operations a
step.
"""

GPU = """\
## GPUs

**The GPU path was not timed**: no GPU was to be had. The code is the same (`--device cuda`),
tensors follow the model's device, and the weights' fingerprint does not depend on it. What one
should expect: the shipped model is so small that a single answer is bound by the launch of
kernels, not by arithmetic, so that one question gains little and batches gain much; a descent is
some thirty small kernels a step, 0.2 to 0.3 ms a step by common launch costs, whatever the batch,
so that NGD over a batch of hundreds costs about what it costs for one. CUDA graphs or
torch.compile would help exactly there, and were not tried. `--dtype bfloat16` runs stem, encoder,
experts and router under autocast; weights, fingerprint and re-routing stay in single precision.
Out of memory halves a micro-batch; that is tested with an engine that raises torch's error, not
on a device.
"""


def performance_page(record: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    parts = ["# What re-routing costs", "", "Written by `make bench`; change nothing by hand.", ""]
    if record["small"]:
        parts += ["**Tiny sizes, made to see that it runs: these numbers mean nothing.**", ""]
    parts += [_machine(record), "", WHY]
    parts += ["## Aims and what was measured", "", *_aims(record), ""]
    if "rerouting" in record:
        parts += ["## Piece by piece", "", *_pieces(record["rerouting"]), ""]
    if "curves" in record:
        parts += ["## How it grows", "", *_curves(record["curves"]), ""]
    if "clients" in record:
        parts += ["## Many clients", "", *_clients(record["clients"]), ""]
    if "retrieval" in record:
        parts += ["## A million references", "", *_retrieval(record["retrieval"]), ""]
    parts.append(GPU)
    return "\n".join(parts)


def _machine(record: Mapping[str, Any]) -> str:
    about = record["machine"]
    load = "unknown" if about["load"] is None else f"{about['load']:.1f}"
    return (
        f"Measured {record['made_at']} on {about['cores']} cores ({about['machine']}, "
        f"{about['system']}), {record['device']}, {about['threads']} threads, torch "
        f"{about['torch']}, load {load} before the run; {record['model']}, "
        f"{record['reference_size']:,} references; medians of {record['repeats']} repeats."
    )


def _aims(record: Mapping[str, Any]) -> list[str]:
    lines = ["| what | aim | measured |", "|---|---|---|"]
    if "rerouting" in record:
        seconds = record["rerouting"]
        unit = seconds[rows.UNIT]

        def ratio(name: str, over: float = unit) -> str:
            return f"{seconds[name] / over:.2f}"

        per_naive = seconds[rows.NGD_NAIVE]
        per_batch = seconds[rows.NGD_BATCH] / rows.BATCH
        lines += [
            f"| NGD answer ÷ plain answer, paper's setting | ≤ 1.15 | {ratio(rows.NGD)} |",
            f"| the same with the shipped neighbours | | {ratio(rows.NGD_DEFAULT)} |",
            f"| the same with autograd | | {ratio(rows.NGD_AUTOGRAD)} |",
            f"| the same, the whole model at every step | | {ratio(rows.NGD_NAIVE)} |",
            f"| Kernel Regression (α = 0) ÷ plain answer | ≤ 1.03 | {ratio(rows.KR)} |",
            f"| Mode Finding ÷ plain answer | ≤ 1.03 | {ratio(rows.MF)} |",
            "| all strategies, controls, leave-one-out, expert ablation ÷ plain answer | ≤ 3 | "
            f"{ratio(rows.EVERYTHING)} |",
            "| batch evaluation, NGD: samples/s ÷ naive loop | ≥ 50 | "
            f"{per_naive / per_batch:.0f} |",
            "| reference build: samples/s ÷ forward-only samples/s | ≥ 0.8 | "
            f"{seconds[rows.FORWARD] / seconds[rows.REFERENCE]:.2f} |",
        ]
    if "retrieval" in record:
        found = record["retrieval"]
        lines.append(
            f"| retrieval, {found['references']:,} references × {found['dimension']}, p50 | "
            f"< 5 ms at recall@5 ≥ 0.99 | {found['p50'] * 1000:.2f} ms at "
            f"{found['recall']:.3f} |"
        )
        if found["bytes_per_reference"] is not None:
            lines.append(
                "| memory of the search index, a reference | linear, stated | "
                f"{found['bytes_per_reference']:,.0f} bytes |"
            )
    if "startup" in record:
        start = record["startup"]
        lines += [
            f"| cold start to the first answer | < 15 s | {start['first_answer']:.1f} s |",
            f"| page interaction | < 200 ms | {start['interaction'] * 1000:.0f} ms |",
        ]
    if "clients" in record:
        met = record["clients"]
        lines.append(
            f"| {met['clients']} concurrent clients: throughput ÷ one client's | ≥ 4 | "
            f"{met['many'] / met['one']:.2f} ({met['failed']} failed, p99 "
            f"{met['p99'] * 1000:.0f} ms) |"
        )
    return lines


def _pieces(seconds: Mapping[str, float]) -> list[str]:
    unit = seconds[rows.UNIT]
    lines = ["| work | ms | × one answer |", "|---|---|---|"]
    lines += [
        f"| {name} | {value * 1000:.2f} | {value / unit:.2f} |" for name, value in seconds.items()
    ]
    return lines


def _curves(found: Mapping[str, Any]) -> list[str]:
    unit = found["unit"]
    lines = [f"In multiples of one answer ({unit * 1000:.2f} ms in this part of the run).", ""]
    for curve in found["curves"]:
        values = list(curve["points"])
        lines += [
            f"| {curve['name']} | {' | '.join(f'{int(value):,}' for value in values)} |",
            "|---" * (len(values) + 1) + "|",
            f"| {curve['unit']} | "
            + " | ".join(f"{curve['points'][value] / unit:.2f}" for value in values)
            + " |",
            "",
        ]
    return lines


def _clients(met: Mapping[str, Any]) -> list[str]:
    return [
        "A backend in a process of its own on loopback, samples of the shipped suites, the default "
        "strategy; clients and backend share the machine's cores.",
        "",
        f"One client: {met['one']:.1f} answers a second, median {met['one_p50'] * 1000:.0f} ms. "
        f"{met['clients']} clients: {met['many']:.1f} a second, median "
        f"{met['p50'] * 1000:.0f} ms, p99 {met['p99'] * 1000:.0f} ms, {met['failed']} of "
        f"{met['requests']} failed; {met['batch']:.1f} requests in a batch on average.",
    ]


def _retrieval(found: Mapping[str, Any]) -> list[str]:
    return [
        f"{found['references']:,} embeddings of {found['dimension']} dimensions: the shipped set's "
        f"own, repeated, each moved a little. Inverted lists (FAISS, {found['lists']:,} lists, "
        f"{found['looked_at']} looked at): p50 {found['p50'] * 1000:.2f} ms, p99 "
        f"{found['p99'] * 1000:.2f} ms, recall@5 {found['recall']:.3f} against exact retrieval, "
        f"which takes {found['exact_p50'] * 1000:.0f} ms. Built in "
        f"{found['build_seconds']:.0f} s.",
        "",
        "Beside the index a reference needs its expert outputs (E × D × 4 bytes, memory-mapped, "
        "read for its neighbours alone) and its picture.",
    ]

"""A bundle's static page: what the audit page shows, in one HTML file without scripts.

Whatever comes from a person or a data set is escaped; the page forbids scripts besides.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from r2t2_core.audit.entries import DECISION, DecisionBody
from r2t2_core.audit.log import Stored
from r2t2_core.i18n import gettext as _

STYLE = """
:root { color-scheme: light dark; --edge: #8b93a366; --soft: #8b93a31a; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 24px auto;
  padding: 0 16px; }
article { border: 1px solid var(--edge); border-radius: 12px; padding: 4px 20px 16px;
  margin: 20px 0; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem } h3 { font-size: 1rem; margin-bottom: 4px }
.pair { display: flex; gap: 12px; flex-wrap: wrap; }
.card { border: 1px solid var(--edge); border-radius: 10px; background: var(--soft);
  padding: 8px 16px; flex: 1 1 200px; }
.card b { font-size: 1.35rem; display: block; overflow-wrap: anywhere; }
img.asked { max-width: 320px; max-height: 320px; border-radius: 10px; }
.strip { display: flex; gap: 8px; flex-wrap: wrap; }
figure { margin: 0; width: 132px; font-size: .8rem; overflow-wrap: anywhere; }
figure img, .none { width: 132px; height: 132px; object-fit: cover; border-radius: 8px;
  background: var(--soft); display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; }
td, th { border-bottom: 1px solid var(--edge); padding: 3px 10px 3px 0; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
td.bar { width: 180px; } td.bar i { display: block; height: 9px; border-radius: 4px;
  background: #3f8fd2; }
code { overflow-wrap: anywhere; font-size: .84rem; }
"""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

TYPES = {b"\x89PNG": "png", b"\xff\xd8": "jpeg", b"GIF8": "gif", b"RIFF": "webp", b"BM": "bmp"}
"""First bytes → type of a picture that browsers show."""


def bundle_page(
    stored: Sequence[Stored], pictures: Mapping[str, bytes], head: Mapping[str, str]
) -> str:
    """Return the page of some entries.

    Parameters
    ----------
    stored : sequence of Stored
    pictures : mapping
        SHA-256 → the picture's file.
    head : mapping
        The signed head.
    """
    title = escape(_("Audit bundle"))
    how = escape(
        _("This page proves nothing by itself: run verify_bundle.py, which lies beside it.")
    )
    parts = [_article(entry, pictures) for entry in stored]
    rows = [(name, f"<code>{escape(value)}</code>") for name, value in head.items()]
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1><p>{how}</p>"
        + "".join(parts)
        + f"<article><h2>{escape(_('Signed head of the log'))}</h2>{_table(rows)}</article>"
        "</body></html>\n"
    )


def _article(stored: Stored, pictures: Mapping[str, bytes]) -> str:
    entry = stored.entry
    rows = [
        (_("entry"), f"<code>{escape(entry.entry_id)}</code>"),
        (_("time (UTC)"), escape(f"{entry.started_at} – {entry.ended_at}")),
        (_("by"), escape(f"{entry.actor} ({entry.role}) {entry.session}")),
        (_("purpose"), escape(entry.purpose)),
        (_("about"), f"<code>{escape(entry.subject or '–')}</code>"),
        (_("entry hash"), f"<code>{escape(stored.entry_hash)}</code>"),
    ]
    inside = _decision(stored, pictures) if entry.kind == DECISION else _any(entry.body)
    return (
        f'<article id="e{entry.sequence}"><h2>{entry.sequence} · {escape(entry.kind)}</h2>'
        f"{inside}{_table(rows)}</article>"
    )


def _any(body: Mapping[str, Any]) -> str:
    return _table([(name, escape(str(value))) for name, value in body.items()])


def _table(rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of names, which are escaped here, and values, which are HTML."""
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{value}</td></tr>" for name, value in rows)
    return f'<div class="scroll"><table>{cells}</table></div>'


def _decision(stored: Stored, pictures: Mapping[str, bytes]) -> str:
    body = stored.entry.read(DecisionBody)
    decision = body.decision
    question = stored.text if stored.text is not None else _("(the question was erased)")
    picture = pictures.get(decision["input"]["image_sha256"])
    asked = (
        f'<img class="asked" alt="" src="{_data(picture)}">'
        if picture is not None
        else f"<p>{escape(_('(the picture was erased)'))}</p>"
    )
    return (
        f"<p><b>{escape(question)}</b></p>{asked}"
        f'<div class="pair">{_card(_("Before: router as trained"), decision["base"])}'
        f"{_card(_('After'), decision['final'])}</div>"
        f"{_gate(decision)}{_routing(decision)}{_neighbours(body, pictures)}"
        f"{_steps(decision)}{_facts(body)}"
    )


def _card(title: str, answer: Mapping[str, Any]) -> str:
    share = f"{_('probability')} {answer['probability']:.1%}"
    return (
        f'<div class="card">{escape(title)}<b>{escape(answer["answer"])}</b>{escape(share)}</div>'
    )


def _gate(decision: Mapping[str, Any]) -> str:
    gate = decision["gate"]
    sentence = (
        _("The gate let the re-routed answer stand.")
        if gate["reroute"]
        else _("The gate kept the router's answer.")
    )
    reasons = " ".join(_(reason) for reason in gate["reasons"])
    label = decision["input"]["label"]
    known = _("Right answer: {label}").format(label=label) if label else ""
    return f"<p>{escape(' '.join(part for part in (sentence, reasons, known) if part))}</p>"


def _routing(decision: Mapping[str, Any]) -> str:
    experts = [name for gate in decision["system"]["gates"] for name in gate["experts"]]
    rows = "".join(
        f"<tr><th>{escape(name)}</th>{_bar(before)}{_bar(after)}</tr>"
        for name, before, after in zip(
            experts, decision["base"]["routing"], decision["final"]["routing"], strict=True
        )
    )
    return (
        f"<h3>{escape(_('Whom the model asks'))}</h3><div class='scroll'><table>"
        f"<tr><th>{escape(_('expert'))}</th><th colspan=2>{escape(_('before'))}</th>"
        f"<th colspan=2>{escape(_('after'))}</th></tr>{rows}</table></div>"
    )


def _bar(weight: float) -> str:
    return (
        f'<td class="n">{weight:.3f}</td>'
        f'<td class="bar"><i style="width:{max(0.0, min(weight, 1.0)):.1%}"></i></td>'
    )


def _neighbours(body: DecisionBody, pictures: Mapping[str, bytes]) -> str:
    figures = []
    for neighbour in body.decision["neighbours"]:
        digest = body.neighbour_pictures.get(neighbour["id"])
        data = pictures.get(digest) if digest else None
        image = (
            f'<img alt="" src="{_data(data)}">'
            if data is not None
            else '<span class="none"></span>'
        )
        words = (
            f"{neighbour['question']} → {neighbour['label']} · {_('similarity')} "
            f"{neighbour['similarity']:.3f} · {_('weight')} {neighbour['kernel_weight']:.3f}"
        )
        figures.append(
            f"<figure>{image}<b>{escape(neighbour['id'])}</b><br>{escape(words)}</figure>"
        )
    title = escape(_("What it learnt from: the most similar solved examples"))
    return f'<h3>{title}</h3><div class="strip">{"".join(figures)}</div>'


def _steps(decision: Mapping[str, Any]) -> str:
    rows = []
    for record in decision["trajectories"]:
        for step in record["steps"]:
            weights = " ".join(f"{weight:.3f}" for weight in step["routing"])
            rows.append(
                f"<tr><td>{escape(record['strategy'])}</td><td class=n>{step['step']}</td>"
                f"<td class=n>{step['surrogate_loss']:.4f}</td><td>{escape(step['answer'])}</td>"
                f"<td class=n>{step['probability']:.1%}</td><td><code>{weights}</code></td></tr>"
            )
    heads = "".join(
        f"<th>{escape(name)}</th>"
        for name in (
            _("strategy"), _("step"), _("loss (nats)"), _("answer"), _("probability"), _("routing"),
        )
    )  # fmt: skip
    return (
        f"<details><summary>{escape(_('Every step'))}</summary><div class='scroll'><table>"
        f"<tr>{heads}</tr>{''.join(rows)}</table></div></details>"
    )


def _facts(body: DecisionBody) -> str:
    system, reference = body.decision["system"], body.decision["reference"]
    asked = body.decision["input"]
    facts = {
        _("model"): system["model"],
        _("fingerprint of the model"): system["model_fingerprint_after"],
        _("fingerprint of the router"): body.host.router_fingerprint if body.host else None,
        _("reference set"): f"{reference['name']} {reference['content_hash']}",
        _("embedder"): f"{reference['embedder']} {reference['embedder_hash']}",
        _("picture as received (SHA-256)"): asked["image_sha256"],
        _("picture as decoded (SHA-256)"): asked["pixels_sha256"],
        _("question (salted SHA-256)"): body.question_salted_sha256,
        _("device"): f"{system['device']}, {system['dtype']}",
        _("versions"): f"r2t2 {system['code_version']}, "
        + ", ".join(f"{name} {version}" for name, version in system["library_versions"].items()),
    }
    rows = [(name, f"<code>{escape(str(value))}</code>") for name, value in facts.items()]
    return f"<details><summary>{escape(_('Fingerprints'))}</summary>{_table(rows)}</details>"


def _data(picture: bytes) -> str:
    kind = next((name for start, name in TYPES.items() if picture.startswith(start)), "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"

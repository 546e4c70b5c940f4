"""One zip that proves itself: entries, evidence, a segment of the chain, a page, and a checker.

Of the entries between the exported ones and the signed head it holds hashes alone: the segment
proves that nothing was taken out, and shows nobody else's questions.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import rfc8785
import sqlalchemy as sa

from r2t2_core import __version__
from r2t2_core.audit.access import Principal
from r2t2_core.audit.anchors import read_anchor
from r2t2_core.audit.bundle_page import bundle_page
from r2t2_core.audit.chain import GENESIS, encode
from r2t2_core.audit.entries import DECISION, DecisionBody
from r2t2_core.audit.host import neighbour_picture
from r2t2_core.audit.keys import SigningKey, is_signed
from r2t2_core.audit.log import Stored, now
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.schema import decisions
from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_

MOST_ENTRIES = 500

CHECKER = Path(__file__).parent / "verify_bundle.py"

README = """\
This is an audit bundle of R2-T2 Workbench {version}, made {made}.

index.html          what was decided, to be read in any browser
verify_bundle.py    checks all of it: python verify_bundle.py [--public-key KEY.pem]
entries/            the entries as they were chained (canonical JSON, RFC 8785), with questions
pictures/           the pictures that were asked about, named by their SHA-256
neighbours/         the neighbours' pictures, named by their SHA-256
chain.json          the segment of the chain to the signed head; anchors
fingerprints.json   of model, router, reference set, embedder, policy and code, by entry
manifest.json       SHA-256 of every file; manifest.sig is its signature
"""


@dataclass
class _Contents:
    """Files of a bundle, by name."""

    files: dict[str, bytes]

    def add_json(self, name: str, value: object) -> None:
        self.files[name] = json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def export(
    recorder: Recorder,
    names: Sequence[str],
    principal: Principal,
    reference_root: Path | None = None,
) -> bytes:
    """Return a bundle of entries, with what was recorded about them later.

    Parameters
    ----------
    names : sequence of str
        Identifiers or numbers of entries.
    reference_root : Path, optional
        Folder of the reference set, for the neighbours' pictures; those whose hash is not the
        recorded one are left out.

    Raises
    ------
    AccessError
        The principal may not export.
    AuditError
        There is no such entry, there are too many, or the log is not signed.
    """
    recorder.access.require(principal, "export")
    stored = _gather(recorder, names)
    contents = _Contents({})
    pictures: dict[str, bytes] = {}
    for entry in stored:
        _add_entry(contents, entry)
        if entry.entry.kind == DECISION:
            pictures.update(_add_pictures(recorder, contents, entry, reference_root))
    segment = _segment(recorder, stored[0].entry.sequence)
    contents.add_json("chain.json", segment)
    contents.add_json(
        "fingerprints.json",
        {str(e.entry.sequence): _fingerprints(e) for e in stored if e.entry.kind == DECISION},
    )
    contents.files["index.html"] = bundle_page(stored, pictures, segment["head"]).encode()
    contents.files["verify_bundle.py"] = CHECKER.read_bytes()
    contents.files["README.txt"] = README.format(version=__version__, made=now()).encode()
    _sign(recorder, contents, stored, segment["head"]["public_key"])
    return _zip(contents.files)


def _gather(recorder: Recorder, names: Sequence[str]) -> list[Stored]:
    """Return the entries and what is about them, each once, in the order of the chain."""
    found: dict[int, Stored] = {}
    for name in dict.fromkeys(names):
        stored = recorder.log.find(name)
        found[stored.entry.sequence] = stored
        for later in recorder.log.about(stored.entry.entry_id):
            found[later.entry.sequence] = later
        if len(found) > MOST_ENTRIES:
            raise AuditError(
                N_("A bundle holds {limit} entries at most."), N_("Export them in parts."),
                limit=MOST_ENTRIES,
            )  # fmt: skip
    if not found:
        raise AuditError(N_("There is nothing to export."), N_("Name an entry."))
    return [found[sequence] for sequence in sorted(found)]


def _add_entry(contents: _Contents, stored: Stored) -> None:
    name = f"entries/{stored.entry.sequence:06d}"
    contents.files[f"{name}.json"] = encode(stored.payload)
    if stored.text is not None:
        contents.add_json(f"{name}.question.json", {"salt": stored.salt, "text": stored.text})


def _add_pictures(
    recorder: Recorder, contents: _Contents, stored: Stored, root: Path | None
) -> dict[str, bytes]:
    """Add the decision's picture and its neighbours'; return them by hash."""
    body = stored.entry.read(DecisionBody)
    found: dict[str, bytes] = {}
    digest = str(body.decision["input"]["image_sha256"])
    if (picture := recorder.pictures.get(digest)) is not None:
        contents.files[f"pictures/{digest}"] = found[digest] = picture
    for neighbour in body.decision["neighbours"] if root else ():
        expected = body.neighbour_pictures.get(neighbour["id"])
        data = neighbour_picture(root, neighbour["image"]) if root and expected else None
        if data is not None and hashlib.sha256(data).hexdigest() == expected:
            contents.files[f"neighbours/{expected}"] = found[str(expected)] = data
    return found


def _segment(recorder: Recorder, first: int) -> dict[str, Any]:
    """Return the chain from an entry to the signed head, by hashes, and the anchors on it."""
    with recorder.log.database.read() as connection:
        signed = recorder.log.read_head(connection)
        before = connection.execute(
            sa.select(decisions.c.entry_hash).where(decisions.c.sequence == first - 1)
        ).scalar()
        hashes = connection.execute(
            sa.select(decisions.c.payload_hash)
            .where(decisions.c.sequence >= first)
            .order_by(decisions.c.sequence)
        ).scalars()
        payloads = list(hashes)
    if signed is None:
        raise AuditError(N_("There is no signed head."), N_("Run `r2t2 audit verify`."))
    anchors = [read_anchor(path).signed for path in recorder.log.anchors.paths()]
    return {
        "first": first,
        "previous_hash": before or GENESIS,
        "payload_hashes": payloads,
        "head": asdict(signed),
        "anchors": [asdict(anchor) for anchor in anchors],
    }


def _fingerprints(stored: Stored) -> dict[str, Any]:
    body = stored.entry.read(DecisionBody)
    system, reference = body.decision["system"], body.decision["reference"]
    return {
        "model": system["model"],
        "model_before": system["model_fingerprint_before"],
        "model_after": system["model_fingerprint_after"],
        "reference_set": reference["content_hash"],
        "embedder": reference["embedder_hash"],
        "code_version": system["code_version"],
        "libraries": system["library_versions"],
        "host": None if body.host is None else body.host.model_dump(mode="json"),
    }


def _sign(
    recorder: Recorder, contents: _Contents, stored: Iterable[Stored], public_key: str
) -> None:
    manifest = {
        "schema_version": "1",
        "made_at": now(),
        "entries": [entry.entry.sequence for entry in stored],
        "files": {
            name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.files.items())
        },
    }
    data: bytes = rfc8785.dumps(manifest)
    key = SigningKey.load(recorder.log.key_path)
    signature = key.sign(data)
    if not is_signed(public_key, data, signature):
        raise AuditError(
            N_("The head is signed with another key than the pinned one."),
            N_("Run `r2t2 audit verify`."),
        )
    contents.files["manifest.json"] = data
    contents.files["manifest.sig"] = signature.encode() + b"\n"


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            # A fixed time: the same entries give the same archive but for when it was made.
            archive.writestr(
                zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()

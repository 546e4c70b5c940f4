"""Check an audit bundle without the program that made it, without a model, without a GPU.

    python verify_bundle.py [BUNDLE.zip or its unpacked folder] [--public-key KEY.pem]

Needs Python 3.9 or newer and the package `cryptography`. Says apart whether every file is what
the manifest says, whether the entries are chained to the signed head, whether the signature is
valid, and whether the key is the one that you pinned. Exit status 0: all that can be checked is
well; 1: it is not.
"""

import argparse
import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Tuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Json = Dict[str, Any]


class Files:
    """The bundle's files by name, from a zip or a folder; nothing is unpacked."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.archive = None if self.path.is_dir() else zipfile.ZipFile(self.path)

    def names(self) -> List[str]:
        if self.archive:
            return sorted(n for n in self.archive.namelist() if not n.endswith("/"))
        found = (p for p in self.path.rglob("*") if p.is_file())
        return sorted(p.relative_to(self.path).as_posix() for p in found)

    def read(self, name: str) -> bytes:
        if name not in self.names():
            raise KeyError(f"{name} is missing")
        return self.archive.read(name) if self.archive else (self.path / name).read_bytes()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_signed(public: str, message: bytes, signature: str) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def check_files(files: Files, manifest: Json) -> Iterator[str]:
    """Every file is what the manifest says; there is no other."""
    listed = manifest["files"]
    beside = {"manifest.json", "manifest.sig"}
    for name in files.names():
        if name not in listed and name not in beside:
            yield f"{name} is not in the manifest"
    for name, digest in listed.items():
        if name not in files.names():
            yield f"{name} is missing"
        elif sha256(files.read(name)) != digest:
            yield f"{name} was changed"


def entry_hash(sequence: int, previous: str, payload: str) -> str:
    text = f"r2t2-audit-entry-1|{sequence}|{previous}|{payload}"
    return sha256(text.encode())


def walk(chain: Json) -> Dict[int, Tuple[str, str, str]]:
    """Return, by sequence, payload hash, entry hash and the entry hash before."""
    previous = chain["previous_hash"]
    found: Dict[int, Tuple[str, str, str]] = {}
    for number, payload in enumerate(chain["payload_hashes"]):
        sequence = chain["first"] + number
        before, previous = previous, entry_hash(sequence, previous, payload)
        found[sequence] = (payload, previous, before)
    return found


def check_chain(files: Files, manifest: Json, chain: Json) -> Iterator[str]:
    """The entries are those of the segment, and the segment ends at the signed head."""
    found = walk(chain)
    head = json.loads(chain["head"]["statement"])
    last = max(found)
    if head["count"] != last or head["entry_hash"] != found[last][1]:
        yield "the segment does not end at the signed head"
    for sequence in manifest["entries"]:
        payload = files.read(f"entries/{sequence:06d}.json")
        entry = json.loads(payload)
        if sequence not in found or sha256(payload) != found[sequence][0]:
            yield f"entry {sequence} is not the chained one"
        elif entry["sequence"] != sequence or entry["previous_hash"] != found[sequence][2]:
            yield f"entry {sequence} stands in another's place"
        yield from check_evidence(files, entry, sequence)


def check_evidence(files: Files, entry: Json, sequence: int) -> Iterator[str]:
    """Question and picture are those of the entry, where they are in the bundle."""
    body, names = entry["body"], set(files.names())
    question = f"entries/{sequence:06d}.question.json"
    if question in names:
        told = json.loads(files.read(question))
        salted = sha256(bytes.fromhex(told["salt"]) + told["text"].encode())
        if salted != body.get("question_salted_sha256"):
            yield f"the question of entry {sequence} is another one"
    if entry["kind"] != "decision":
        return
    decision = body["decision"]
    picture = "pictures/" + decision["input"]["image_sha256"]
    if picture in names and sha256(files.read(picture)) != decision["input"]["image_sha256"]:
        yield f"the picture of entry {sequence} is another one"
    for digest in body["neighbour_pictures"].values():
        name = f"neighbours/{digest}"
        if digest and name in names and sha256(files.read(name)) != digest:
            yield f"a neighbour's picture of entry {sequence} is another one"


def check_signatures(files: Files, chain: Json, manifest_bytes: bytes) -> Iterator[str]:
    head = chain["head"]
    if not is_signed(head["public_key"], head["statement"].encode(), head["signature"]):
        yield "the signature of the head is not valid"
    signature = files.read("manifest.sig").decode().strip()
    if not is_signed(head["public_key"], manifest_bytes, signature):
        yield "the signature of the manifest is not valid"


def check_anchors(chain: Json) -> Iterator[str]:
    found = walk(chain)
    for anchor in chain["anchors"]:
        head = json.loads(anchor["statement"])
        if not is_signed(anchor["public_key"], anchor["statement"].encode(), anchor["signature"]):
            yield "an anchor's signature is not valid"
        elif anchor["public_key"] != chain["head"]["public_key"]:
            yield "an anchor is signed with another key"
        elif head["count"] in found and found[head["count"]][1] != head["entry_hash"]:
            yield "an anchor contradicts entry {}".format(head["count"])


def pinned(path: str) -> str:
    key = serialization.load_pem_public_key(Path(path).read_bytes())
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return raw.hex()


def report(title: str, problems: Iterable[str]) -> bool:
    """Print a line and return whether it is well."""
    try:
        problems = list(problems)
    except Exception as error:  # A damaged bundle may hold anything.
        problems = [f"damaged: {error}"]
    print("{:<16}{}".format(title, "yes" if not problems else "NO: " + "; ".join(problems[:5])))
    return not problems


def main() -> int:
    parser = argparse.ArgumentParser(description="Check an audit bundle.")
    parser.add_argument("bundle", nargs="?", default=str(Path(__file__).resolve().parent))
    parser.add_argument("--public-key", help="the pinned public key (PEM), kept elsewhere")
    options = parser.parse_args()
    try:
        files = Files(options.bundle)
        manifest_bytes = files.read("manifest.json")
        manifest = json.loads(manifest_bytes)
        chain = json.loads(files.read("chain.json"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        print(f"This is no audit bundle: {error}")
        return 1
    well = [
        report("files whole", check_files(files, manifest)),
        report("chain intact", check_chain(files, manifest, chain)),
        report("signature valid", check_signatures(files, chain, manifest_bytes)),
        report("anchors agree", check_anchors(chain)),
    ]
    key = chain["head"]["public_key"]
    if options.public_key:
        same = pinned(options.public_key) == key
        well.append(report("pinned key", [] if same else ["signed with another key"]))
    else:
        print("{:<16}not checked: compare {} with the key that you were given".format("key", key))
    counts = [json.loads(anchor["statement"])["count"] for anchor in chain["anchors"]]
    print("{:<16}{}".format("anchored", f"up to entry {max(counts)}" if counts else "no"))
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())

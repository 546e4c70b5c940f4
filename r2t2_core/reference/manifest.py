"""What a reference set is: its manifest, its files, and the hashes that make it one version.

A version is a folder. Its files may come in *segments*, so that a version which only adds samples
shares the files of its parent:

    manifest.json
    samples.parquet, samples-0001.arrow, …          questions, labels, embeddings, routings
    expert_outputs.npy, expert_outputs-0001.npy, …  what does not depend on the routing
    images/, images-0001/, …                        pictures
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import rfc8785
from pydantic import BaseModel, ConfigDict

from r2t2_core.types import GateSpec, RoutingSpec

POLICIES = ("correct_only", "all_labelled", "refined")
"""`correct_only` is the paper's; `all_labelled` takes all samples with the router's own routing;
`refined` takes samples that the refined routing answers correctly, with that routing."""

FILES = ("samples.parquet", "expert_outputs.npy", "images")
"""What a reference set of one segment consists of, beside its manifest."""


SHORT = 16
"""Digits of a content hash that name a version's folder."""


class GateShape(BaseModel):
    """One gate of the model that a set was made with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    experts: tuple[str, ...]
    top_k: int | None = None


class Manifest(BaseModel):
    """What a reference set is.

    Attributes
    ----------
    file_hashes : dict
        Name of a file → SHA-256; `images` stands for all pictures together.
    content_hash : str
        SHA-256 over the canonical JSON of everything else in this manifest but the time of making,
        so that the same seeds give the same hash.
    image_mean, image_scale : tuple of float
        Mean and standard deviation of the pictures' features, for standardising.
    parents : tuple of str
        Content hashes of the versions that this one was made from.
    author, note : str
        Who made it, and what was done, in words.
    policy : str
        The reference policy that it was built for; empty where nobody said.
    gates : tuple of GateShape
        Topology of the routing; empty means one gate over `experts`.
    routing_only : bool
        It holds routings and questions, but no pictures and no expert outputs.
    local : bool
        It never leaves this machine: decisions and exports hold hashes of its samples alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: str = "1"
    name: str
    size: int
    created_at: str
    licence: str
    source: str
    model: str
    model_fingerprint: str
    embedder: str
    embedder_hash: str
    experts: tuple[str, ...]
    answers: tuple[str, ...]
    image_mean: tuple[float, ...]
    image_scale: tuple[float, ...]
    file_hashes: dict[str, str]
    content_hash: str = ""
    parents: tuple[str, ...] = ()
    author: str = ""
    note: str = ""
    policy: str = ""
    gates: tuple[GateShape, ...] = ()
    routing_only: bool = False
    local: bool = False

    def compute_hash(self) -> str:
        """Return what `content_hash` should be."""
        fields = self.model_dump(mode="json", exclude={"content_hash", "created_at"})
        # What came after the first sets were made counts only where it says something, so that
        # their hashes stand.
        for name in LATER:
            if getattr(self, name) == type(self).model_fields[name].default:
                del fields[name]
        return hashlib.sha256(rfc8785.dumps(fields)).hexdigest()

    @property
    def routing_spec(self) -> RoutingSpec:
        """The topology of the routing."""
        if not self.gates:
            return RoutingSpec((GateSpec("experts", self.experts),))
        return RoutingSpec(tuple(GateSpec(g.name, g.experts, g.top_k) for g in self.gates))

    def files(self, kind: str) -> tuple[str, ...]:
        """Return the files of a kind (`samples`, `expert_outputs`, `images`), first segment first.

        Before the hashes are known, those of one segment.
        """
        names = self.file_hashes or FILES
        found = sorted(name for name in names if name.split(".")[0].split("-")[0] == kind)
        return tuple(sorted(found, key=lambda name: "-" in name))


LATER = ("parents", "author", "note", "policy", "gates", "routing_only", "local")
"""Fields that the first manifests do not have."""


def gate_shapes(spec: RoutingSpec) -> tuple[GateShape, ...]:
    """Return a topology as a manifest holds it."""
    return tuple(
        GateShape(name=gate.name, experts=gate.experts, top_k=gate.top_k) for gate in spec.gates
    )


def hash_of(root: Path, name: str) -> str:
    """Return the SHA-256 of a file, or of a folder with all that is in it."""
    path = root / name
    if not path.exists():
        return "missing"
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode())
        if file.is_file():
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def sealed(root: Path, manifest: Manifest, known: dict[str, str] | None = None) -> Manifest:
    """Return a manifest with the hashes of its files and of itself, and write it.

    Parameters
    ----------
    root : Path
    manifest : Manifest
        `file_hashes` names the files; values are computed here.
    known : dict, optional
        Hashes that are known already, of files that were taken over from another version.
    """
    known = known or {}
    hashes = {name: known.get(name) or hash_of(root, name) for name in manifest.file_hashes}
    hashed = manifest.model_copy(update={"file_hashes": hashes})
    final = hashed.model_copy(update={"content_hash": hashed.compute_hash()})
    (root / "manifest.json").write_text(final.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return final

"""All versions of reference sets of this machine: immutable folders, names that point to them.

Below `<data folder>/reference/`

    versions/<hash>/   one folder for each version, named by its content hash
    names.json         name → hashes that it pointed to, the last one in force; and which is in use
    events.jsonl       what was done with names, by whom, when, on which evidence; only added to
    work/              what is being built
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from r2t2_core.errors import ReferenceSetError
from r2t2_core.i18n import N_
from r2t2_core.reference.edit import now
from r2t2_core.reference.manifest import SHORT, Manifest

SHIPPED = "shipped"
"""The set that came with the product."""

STAGING = ".staging"
"""Ending of the name of a version that waits for its promotion."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Version:
    """One version.

    Attributes
    ----------
    root : Path
    manifest : Manifest
    names : tuple of str
        Names that point to it at present.
    """

    root: Path
    manifest: Manifest
    names: tuple[str, ...]


class _Names(BaseModel):
    """What `names.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    in_use: str = ""


def current_author() -> str:
    """Return who works here, in words of the operating system."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


class Library:
    """Versions and names below a folder.

    Parameters
    ----------
    root : Path
        `<data folder>/reference`; made when something is first written.
    shipped : Path
        Folder of the shipped set, which is called `shipped`.
    """

    def __init__(self, root: Path, shipped: Path) -> None:
        self.root = root
        self.shipped = shipped

    @property
    def in_use(self) -> str:
        """Name that `use` chose; the shipped set's otherwise."""
        return self._read().in_use or SHIPPED

    def versions(self) -> list[Version]:
        """Return all versions that can be read, the shipped one first, then oldest first."""
        names: dict[str, list[str]] = {}
        for name, history in self._read().names.items():
            names.setdefault(history[-1], []).append(name)
        found = []
        for path in (self.root / "versions").glob("*/manifest.json"):
            manifest = read_manifest(path.parent)
            pointing = names.get(manifest.content_hash, [])
            found.append(Version(path.parent, manifest, tuple(sorted(pointing))))
        found.sort(key=lambda version: (version.manifest.created_at, version.manifest.content_hash))
        if (self.shipped / "manifest.json").is_file():
            shipped = read_manifest(self.shipped)
            pointing = names.get(shipped.content_hash, [])
            found.insert(0, Version(self.shipped, shipped, (SHIPPED, *sorted(pointing))))
        return found

    def find(self, name: str) -> Path:
        """Return the folder of a version by name, by the beginning of its hash, or by path.

        Raises
        ------
        ReferenceSetError
            There is none, or several hashes begin so.
        """
        if name == SHIPPED:
            return self.shipped
        history = self._read().names.get(name)
        wanted = history[-1] if history else name
        versions = self.versions()
        matches = [v for v in versions if v.manifest.content_hash.startswith(wanted)]
        if len(wanted) >= 6 and len(matches) == 1:
            return matches[0].root
        if (Path(name) / "manifest.json").is_file():
            return Path(name)
        known = sorted({label for version in versions for label in version.names})
        raise ReferenceSetError(
            N_("There is no reference set called {name}."),
            N_("Choose one of: {known}; `r2t2 reference list` shows all versions."),
            name=name,
            known=", ".join(known),
        )

    def history(self, name: str) -> tuple[str, ...]:
        """Return the hashes that a name pointed to, the one in force last."""
        return self._read().names.get(name, ())

    def work_folder(self, key: str) -> Path:
        """Return the folder in which something is being made."""
        return self.root / "work" / key

    def add(self, folder: Path, name: str | None, event: str, evidence: Any = None) -> Version:
        """Take a finished version over, and let a name point to it.

        A version that is there already is not stored twice.
        """
        manifest = read_manifest(folder)
        home = self.root / "versions" / manifest.content_hash[:SHORT]
        if home.exists():
            shutil.rmtree(folder)
        else:
            home.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder, home)
        if name is not None:
            self.point(name, manifest.content_hash, event, evidence)
        return Version(home, manifest, (name,) if name else ())

    def point(self, name: str, content_hash: str, event: str, evidence: Any = None) -> None:
        """Let a name point to a version; where it pointed before is kept.

        Raises
        ------
        ReferenceSetError
            The name cannot be used.
        """
        check_name(name)
        known = self._read()
        history = known.names.get(name, ())
        if not history or history[-1] != content_hash:
            history = (*history, content_hash)
        self._write(known.model_copy(update={"names": {**known.names, name: history}}))
        self.note(event, name, content_hash, evidence)

    def forget(self, name: str, event: str, evidence: Any = None) -> None:
        """Take a name away; the versions that it pointed to stay."""
        known = self._read()
        history = known.names.get(name, ())
        rest = {key: value for key, value in known.names.items() if key != name}
        self._write(known.model_copy(update={"names": rest}))
        if history:
            self.note(event, name, history[-1], evidence)

    def use(self, name: str) -> Path:
        """Make a set the one that the app and the commands use; return its folder."""
        folder = self.find(name)
        self._write(self._read().model_copy(update={"in_use": name}))
        self.note("use", name, read_manifest(folder).content_hash)
        return folder

    def roll_back(self, name: str) -> str:
        """Let a name point to where it pointed before; return that hash.

        Raises
        ------
        ReferenceSetError
            It never pointed elsewhere.
        """
        known = self._read()
        history = known.names.get(name, ())
        if len(history) < 2:
            raise ReferenceSetError(
                N_("{name} has no earlier version."),
                N_("`r2t2 reference list` shows all versions."),
                name=name,
            )
        self._write(known.model_copy(update={"names": {**known.names, name: history[:-1]}}))
        self.note("roll back", name, history[-2], {"from": history[-1]})
        return history[-2]

    def note(self, event: str, name: str, content_hash: str, evidence: Any = None) -> None:
        """Write down what was done; nothing is ever taken out."""
        self.root.mkdir(parents=True, exist_ok=True)
        entry = {
            "at": now(),
            "by": current_author(),
            "event": event,
            "name": name,
            "version": content_hash,
            "evidence": evidence,
        }
        with (self.root / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def events(self) -> list[Mapping[str, Any]]:
        """Return what was done, oldest first."""
        path = self.root / "events.jsonl"
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]

    def _read(self) -> _Names:
        path = self.root / "names.json"
        if not path.is_file():
            return _Names()
        try:
            return _Names.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ReferenceSetError(
                N_("The names of the reference sets in {path} cannot be read: {reason}."),
                N_("Restore the file, or delete it: versions are found by their hashes."),
                path=str(path),
                reason=str(error.errors()[0]["msg"]),
            ) from error

    def _write(self, names: _Names) -> None:
        """Write whole or not at all."""
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = self.root / "names.json.tmp"
        temporary.write_text(names.model_dump_json(indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, self.root / "names.json")


def check_name(name: str) -> None:
    """Refuse names that are no plain word, or that mean the shipped set."""
    if not NAME.fullmatch(name) or name == SHIPPED:
        raise ReferenceSetError(
            N_("“{name}” cannot be the name of a reference set."),
            N_("Use letters, digits, dots, dashes; not “shipped”."),
            name=name,
        )


def read_manifest(root: Path) -> Manifest:
    """Read a version's manifest.

    Raises
    ------
    ReferenceSetError
        It is missing or damaged.
    """
    try:
        return Manifest.model_validate_json((root / "manifest.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise ReferenceSetError(
            N_("The reference set in {root} cannot be read: {reason}."),
            N_("Restore the folder from the repository, or build the reference set again."),
            root=str(root),
            reason=str(error),
        ) from error

"""Keep the catalogues in step with the code: `make messages`.

Extracts every marked message and merges it into `r2t2_core/locale/*/LC_MESSAGES/r2t2.po`;
translations that are there stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from r2t2_core.i18n import LANGUAGES, LOCALE, SOURCE_LANGUAGE

ROOT = Path(__file__).resolve().parents[1]

KEYWORDS = {"_": None, "N_": None, "gettext": None}


def sources() -> Iterator[Path]:
    """Yield the files that hold visible strings."""
    yield ROOT / "app.py"
    yield from sorted((ROOT / "pages").rglob("*.py"))
    yield from sorted((ROOT / "r2t2_core").rglob("*.py"))


def extract() -> Catalog:
    """Return a catalogue of all messages in the code."""
    catalogue = Catalog(project="R2-T2 Workbench", charset="utf-8")
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        for _line, message, comments, context in extract_from_file("python", path, KEYWORDS):
            # Without line numbers, so that moving code does not change the catalogue.
            catalogue.add(
                message, locations=[(name, None)], auto_comments=comments, context=context
            )
    return catalogue


def main() -> None:
    """Update all catalogues."""
    template = extract()
    for code in set(LANGUAGES) - {SOURCE_LANGUAGE}:
        path = LOCALE / code / "LC_MESSAGES" / "r2t2.po"
        path.parent.mkdir(parents=True, exist_ok=True)
        catalogue = Catalog(locale=code)
        if path.is_file():
            with path.open("rb") as file:
                catalogue = read_po(file, locale=code)
        catalogue.update(template, no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        catalogue.fuzzy = False
        with path.open("wb") as file:
            write_po(
                file,
                catalogue,
                width=100,
                sort_output=True,
                omit_header=False,
                include_lineno=False,
            )
        missing = sum(not message.string for message in catalogue if message.id)
        print(f"{code}: {len(catalogue)} messages, {missing} without a translation")


if __name__ == "__main__":
    main()

"""The catalogue: complete, compiled, true to its keys; and its reading."""

import re
import string
import subprocess
import sys
import unicodedata
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from bus.entries import Sentence
from bus.texts import DOMAIN, LOCALE, msgid, pick, say, translate, translator

ROOT = Path(__file__).parents[2]
FOLDER = LOCALE / "vi" / "LC_MESSAGES"
PARTS = ["agent", "broadcast", "bus", "hub", "kiosk", "media", "provisioning", "web"]


def read(path: Path) -> Catalog:
    return read_po(BytesIO(path.read_bytes()))


@pytest.fixture(scope="module")
def source() -> Catalog:
    return read(FOLDER / f"{DOMAIN}.po")


def texts(catalog: Catalog) -> dict[object, object]:
    return {message.id: message.string for message in catalog if message.id}


def test_compiled_catalogue_is_fresh(source: Catalog) -> None:
    with (FOLDER / f"{DOMAIN}.mo").open("rb") as compiled:
        held = texts(read_mo(compiled))
    assert held == {key: value for key, value in texts(source).items() if value}, "run scripts/catalogues"


def test_every_text_of_the_code_is_translated(source: Catalog, tmp_path: Path) -> None:
    template = tmp_path / "all.pot"
    command = [sys.executable, "-m", "babel.messages.frontend", "-q", "extract", "-F", "scripts/babel.ini"]
    subprocess.run([*command, "-k", "msgid", "-o", str(template), *PARTS], cwd=ROOT, check=True)
    held = texts(source)
    missing = [key for key in texts(read(template)) if not held.get(key)]
    assert missing == [], "run scripts/catalogues and fill in the empty msgstr lines"


def names(text: str) -> set[str]:
    named = set(re.findall(r"%\((\w+)\)", text))
    try:
        return named | {name for _, name, _, _ in string.Formatter().parse(text) if name}
    except ValueError:  # not a format: a lone brace
        return named


def test_translations_hold_the_same_names_and_are_nfc(source: Catalog) -> None:
    for key, value in texts(source).items():
        keys = [key] if isinstance(key, str) else list(key)  # type: ignore[call-overload] # a plural is a tuple
        values = [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]
        for text in values:
            assert names(text) <= names(keys[-1]) | names(keys[0]), f"{key!r}: names differ in {text!r}"
            assert unicodedata.is_normalized("NFC", text), f"{text!r} is not NFC"


def test_unknown_language_is_answered_in_vietnamese() -> None:
    assert translator("fr") is translator("vi")


def test_sentence_fills_in_its_own_language() -> None:
    line = Sentence(vi="đường truyền", en="the line")
    said = say(msgid("{what}"), what=line)
    assert said == Sentence(vi="đường truyền", en="the line")
    assert pick("en", said) == "the line"
    assert pick("vi", said) == pick("fr", said) == "đường truyền"


def test_text_without_translation_stays_english() -> None:
    assert translate("vi", "not in the catalogue {n}", n=1) == "not in the catalogue 1"
    assert translate("vi", "") == ""

"""Texts for people, in Vietnamese and English (design decision 12).

The English text stands in the code and is the key; the Vietnamese stands in `bus/locale/vi/LC_MESSAGES/commune.po`,
one catalogue for all parts. `scripts/catalogues` gathers the keys, and compiles. A text is marked where it is written:
by `translator(language).gettext(...)`, or by `msgid(...)` where it is translated later. Values are put in by name
(`{provider}`), so that a translator may change their order. All text is NFC.
"""

import gettext
from functools import cache
from pathlib import Path
from typing import Final

from bus.entries import Sentence

DOMAIN: Final = "commune"
LOCALE: Final = Path(__file__).parent / "locale"
DEFAULT_LANGUAGE: Final = "vi"
LANGUAGES: Final = ("vi", "en")


def msgid(text: str) -> str:
    """Mark `text` for the catalogue, to be translated later; returns it unchanged."""
    return text


def translator(language: str) -> gettext.NullTranslations:
    """The catalogue of a language; one we do not have is answered in the default, Vietnamese."""
    return _load(language if language in LANGUAGES else DEFAULT_LANGUAGE)


@cache
def _load(language: str) -> gettext.NullTranslations:
    if language == "en":
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, localedir=LOCALE, languages=[language])


def translate(language: str, text: str, **values: object) -> str:
    """`text` (an English key) in `language`, its `{names}` filled in. A `Sentence` fills in its own language."""
    filled = {name: pick(language, value) if isinstance(value, Sentence) else value for name, value in values.items()}
    translated = translator(language).gettext(text) if text else ""
    return translated.format_map(filled)


def say(text: str, **values: object) -> Sentence:
    """`text` (an English key, marked by `msgid`) in both languages."""
    return Sentence(vi=translate("vi", text, **values), en=translate("en", text, **values))


def pick(language: str, sentence: Sentence) -> str:
    """The text of a sentence in `language`; Vietnamese where it is not English."""
    return sentence.en if language == "en" else sentence.vi

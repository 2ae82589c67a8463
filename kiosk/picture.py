"""What a screen draws: one value, complete in itself, in the citizen's language.

The Textual screen and the touch page both draw from this, so neither knows a rule. Texts of the kiosk itself go
through gettext; those of the settings come with their own languages. A level is told by face, position and word at
once, never by colour alone.
"""

from typing import Final

from msgspec import Struct

from bus.texts import msgid, translator
from kiosk.flow import Flow, View
from kiosk.settings import FACES, KioskSettings, say

LEVEL_WORDS: Final = {
    3: (msgid("Satisfied"), msgid("Neutral"), msgid("Not satisfied")),
    4: (msgid("Very satisfied"), msgid("Satisfied"), msgid("Not satisfied"), msgid("Very dissatisfied")),
    5: (
        msgid("Very satisfied"),
        msgid("Satisfied"),
        msgid("Neutral"),
        msgid("Not satisfied"),
        msgid("Very dissatisfied"),
    ),
}

_HEADLINES: Final = {
    View.IDLE: "",
    View.THANKS: msgid("Thank you! Your answer has been recorded."),
    View.REASONS: msgid("What should be better?"),
    View.CLOSED: msgid("The counter is closed."),
    View.NO_PANEL: msgid("The buttons are not connected. Please tell the officer."),
}
_NOTES: Final = {
    View.IDLE: msgid("Press one button. Nobody here sees your answer."),
    View.THANKS: msgid("Pressed the wrong one? Press another now."),
    View.REASONS: msgid("Touch one picture, or leave: your answer counts already."),
    View.CLOSED: msgid("We will be glad to hear from you during opening hours."),
    View.NO_PANEL: msgid("The counter goes on serving."),
}


class Level(Struct, frozen=True):
    """One answer: which face (1 the happiest, 5 the unhappiest) and its word."""

    level: int
    face: int
    word: str


class Choice(Struct, frozen=True):
    """One reason: its icon and its name."""

    id: str
    icon: str
    word: str


class Picture(Struct, frozen=True):
    """All that is on the screen. `network` is a line of text while the network is down, else empty.

    `skip` is the word of the button that leaves the reasons. `clock` is the local time HH:MM, empty while unknown.
    """

    view: View
    language: str
    languages: list[str]
    counter: str
    question: str
    headline: str
    note: str
    levels: list[Level]
    reasons: list[Choice]
    skip: str
    network: str
    clock: str
    trouble: str = ""


def draw(flow: Flow, settings: KioskSettings, *, levels: int, clock: str, officer: str = "") -> Picture:
    """The picture for this state; `levels` is the panel's number of buttons, or the settings' for touch alone.

    `officer` is the code of who is on duty, which stands beside the counter: so the officer sees that the badge was
    read, and the citizen whom the answer is about.
    """
    language = flow.language
    text = translator(language).gettext
    counter = say(settings.counter_name, language)
    if officer:
        counter = text(msgid("{counter}, officer {officer}")).format(counter=counter, officer=officer)
    headline, note = _HEADLINES[flow.view], _NOTES[flow.view]
    return Picture(
        view=flow.view,
        language=language,
        languages=list(settings.languages),
        counter=counter,
        question=say(settings.question.text, language),
        headline=text(headline) if headline else say(settings.question.text, language),
        note=text(note) if note else "",
        levels=draw_levels(levels, language),
        reasons=[Choice(reason.id, reason.icon, say(reason.text, language)) for reason in settings.reasons],
        skip=text(msgid("Skip")),
        network="" if flow.conditions.network_up else text(msgid("The network is down; the counter goes on.")),
        clock=clock,
        trouble="" if flow.conditions.disk_ok else text(msgid("Answers cannot be saved now. Please tell the officer.")),
    )


def draw_levels(levels: int, language: str) -> list[Level]:
    """The answers of a scale of 3, 4 or 5; a panel of another size is drawn with the faces nearest to its ends."""
    text = translator(language).gettext
    scale = min(max(levels, 3), 5)
    return [
        Level(number, face, text(word))
        for number, (face, word) in enumerate(zip(FACES[scale], LEVEL_WORDS[scale], strict=True), 1)
    ]

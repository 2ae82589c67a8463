"""A finding in words for somebody who is no engineer: what is wrong, and what to do next. Pure.

Two short sentences in both languages. Who must act stands in the second: the person at the box, or a provider with its
hotline and contract code. Names of lines, hosts and services are the commune's own, from the configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.causes import Cause
from agent.diagnosis import Finding
from bus.entries import Sentence
from bus.texts import msgid, say


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to call for a line or a service."""

    provider: str = ""
    hotline: str = ""
    contract: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """Names and contacts by rung id."""

    names: Mapping[str, str]
    contacts: Mapping[str, Contact]


_SAYS: Final[dict[Cause, str]] = {
    Cause.FINE: msgid("Everything works."),
    Cause.NO_DATA: msgid("No measurements are coming in, so nothing can be said about the lines."),
    Cause.ON_BATTERY: msgid("The mains power is out; the box runs on its battery."),
    Cause.PORT_MISSING: msgid("The box's network port {name} has disappeared."),
    Cause.CABLE_UNPLUGGED: msgid("The box's network cable is unplugged, or the switch has no power."),
    Cause.PORT_FLAPPING: msgid("The box's network cable keeps losing contact."),
    Cause.NO_ADDRESS: msgid("The box has been given no network address."),
    Cause.NO_ROUTE: msgid("The box does not know the way to the router."),
    Cause.WRONG_ROUTE: msgid("The box sends its traffic to the wrong router."),
    Cause.SWITCH_DEAD: msgid("The switch does not work: nothing in the office network answers."),
    Cause.ROUTER_DEAD: msgid("The router ({name}) does not work; the office network itself is fine."),
    Cause.LAN_LOSS: msgid("The office network is losing data: a bad cable, or a cable plugged in as a loop."),
    Cause.FIBRE_DOWN: msgid("The fibre is cut on the provider's side: the router works, nothing beyond it answers."),
    Cause.INTERNET_DOWN: msgid("The Internet is down ({name}); the specialised data network works."),
    Cause.MAIN_DOWN: msgid("The main line ({name}) is down; the spare line carries the traffic."),
    Cause.TSLCD_DOWN: msgid("The specialised data network ({name}) is down; the Internet works."),
    Cause.LINE_FLAPPING: msgid("The line {name} keeps dropping and coming back."),
    Cause.LINE_DEGRADED: msgid("The line {name} is losing data: pages are slow, meetings break up."),
    Cause.CANNOT_PROBE: msgid("The box itself cannot test the lines, so nothing sure can be said about them."),
    Cause.DNS_DEAD: msgid("Names are not found (DNS): the lines work, but web addresses do not open."),
    Cause.WEB_BROKEN: msgid("The line {name} is up, but web pages do not come through it."),
    Cause.HUB_UNREACHABLE: msgid("The province's monitoring centre does not answer; the commune's own lines work."),
    Cause.CERTIFICATE_EXPIRED: msgid("The security certificate of {name} has expired; it is their fault, not ours."),
    Cause.CERTIFICATE_BAD: msgid("The security certificate of {name} is not valid."),
    Cause.SERVICE_DOWN: msgid("{name} does not answer; it is their fault: the commune's lines work."),
    Cause.SPARE_DOWN: msgid("The spare line ({name}) is down; the main line works."),
    Cause.HOST_DOWN: msgid("{name} does not answer on the office network."),
    Cause.SPEED_FELL: msgid("The box's network port runs slower than it should."),
    Cause.LIGHT_LOW: msgid("The light on the fibre of {name} is weak: the line may soon be lost."),
    Cause.LIGHT_FALLING: msgid(
        "The light on the fibre of {name} is fading: at this rate it is too weak within {days} days."
    ),
    Cause.RECORDING_BROKEN: msgid("The box's storage is full or broken: it goes on watching but cannot record."),
    Cause.CERTIFICATE_ENDING: msgid("The security certificate of {name} expires within {days} days."),
}

_DO: Final[dict[Cause, str]] = {
    Cause.FINE: "",
    Cause.NO_DATA: msgid("Wait two minutes; if this stays, switch the box off and on again."),
    Cause.ON_BATTERY: msgid("Check the power; if the whole area is out, call the electricity company."),
    Cause.PORT_MISSING: msgid("Switch the box off and on again; if this stays, tell the province's engineers."),
    Cause.CABLE_UNPLUGGED: msgid("Push the cable in firmly at both ends and see whether the switch's lights are on."),
    Cause.PORT_FLAPPING: msgid(
        "Replace the cable between the box and the switch, or use another socket of the switch."
    ),
    Cause.NO_ADDRESS: msgid("Switch the router off, wait 10 seconds and switch it on again."),
    Cause.NO_ROUTE: msgid("Switch the router off and on again; if this stays, tell the province's engineers."),
    Cause.WRONG_ROUTE: msgid(
        "Ask who has changed the network settings or plugged in another router; tell the province's engineers."
    ),
    Cause.SWITCH_DEAD: msgid("Check the switch's power and lights; pull its plug for 10 seconds and put it back."),
    Cause.ROUTER_DEAD: msgid("Check the router's power and lights; pull its plug for 10 seconds and put it back."),
    Cause.LAN_LOSS: msgid("Unplug the cables that were plugged in last, one by one, until the network is fast again."),
    Cause.FIBRE_DOWN: msgid("{call}; say that the fibre is cut."),
    Cause.INTERNET_DOWN: msgid("{call}; say that the Internet line is down."),
    Cause.MAIN_DOWN: msgid("Go on working; {call} and say that the line is down."),
    Cause.TSLCD_DOWN: msgid("{call}; say that the specialised data network is down."),
    Cause.LINE_FLAPPING: msgid("{call}; say that the line keeps dropping."),
    Cause.LINE_DEGRADED: msgid("{call}; say that the line is losing packets."),
    Cause.CANNOT_PROBE: msgid("Nothing to do here; tell the province's engineers: the box's log says what is missing."),
    Cause.DNS_DEAD: msgid("Switch the router off and on again; if this stays, tell the province's engineers."),
    Cause.WEB_BROKEN: msgid("Open any web page and see whether it asks for a sign-in or payment; otherwise {call}."),
    Cause.HUB_UNREACHABLE: msgid("Nothing to do here: everything is kept and sent later. The province is looking."),
    Cause.CERTIFICATE_EXPIRED: msgid("Do not ignore the browser's warning; {call}."),
    Cause.CERTIFICATE_BAD: msgid("Check the date on the computers; do not ignore the browser's warning; {call}."),
    Cause.SERVICE_DOWN: msgid("Take dossiers on paper meanwhile; {call}."),
    Cause.SPARE_DOWN: msgid("Go on working; {call} before the main line fails too."),
    Cause.HOST_DOWN: msgid("Check that it is switched on and that its network cable is in."),
    Cause.SPEED_FELL: msgid("Replace the cable between the box and the switch."),
    Cause.LIGHT_LOW: msgid("{call}; say that the received light of the fibre is low."),
    Cause.LIGHT_FALLING: msgid("{call}; say that the received light of the fibre falls from day to day."),
    Cause.RECORDING_BROKEN: msgid("Tell the province's engineers: the memory card must be cleared or replaced."),
    Cause.CERTIFICATE_ENDING: msgid("Nothing to do here; {call}."),
}

# Where what lies before has not been heard, nothing is said of it.
_SAYS_UNCLEARED: Final[dict[Cause, str]] = {
    Cause.ROUTER_DEAD: msgid("The router ({name}) does not answer; whether the office network works is not known."),
    Cause.FIBRE_DOWN: msgid("No line answers: the fibre is cut on the provider's side, or the router does not work."),
}

_CALLS: Final = {
    (True, True): msgid("call {provider} on {hotline}, contract {contract}"),
    (True, False): msgid("call {provider} on {hotline}"),
    (False, True): msgid("call {provider}, contract {contract}"),
    (False, False): msgid("call {provider}"),
}
_NOBODY: Final = msgid("tell the province's engineers")
assert set(_SAYS) == set(_DO) == set(Cause), "BUG: a cause has no words"  # noqa: S101


def words_for(finding: Finding, words: Words) -> tuple[Sentence, Sentence]:
    """What is wrong, and what to do."""
    name = words.names.get(finding.subject, finding.subject)
    call = _call(words.contacts.get(finding.subject, Contact()))
    text = _SAYS[finding.cause] if finding.cleared else _SAYS_UNCLEARED.get(finding.cause, _SAYS[finding.cause])
    says = say(text, name=name, days=str(finding.within_days))
    do = say(_DO[finding.cause], name=name, call=call)
    return says, Sentence(vi=_capital(do.vi), en=_capital(do.en))


def _call(contact: Contact) -> Sentence:
    if not contact.provider and not contact.hotline:
        return say(_NOBODY)
    text = _CALLS[bool(contact.hotline), bool(contact.contract)]
    return say(text, provider=contact.provider, hotline=contact.hotline, contract=contact.contract)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

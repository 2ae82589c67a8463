"""A `Sight` as lines of text, from 80x24 up. Pure, and only with characters that a Linux console has.

The sentence stands first; what is down comes before what works, and what has no room left is counted, never dropped
silently. State is told by words, not by colour alone.
"""

import math
import textwrap
from functools import partial
from typing import Final

from rich.text import Text

from agent.top.sight import BrokerView, JournalView, KioskNow, Now, Rung, Sight
from bus.texts import msgid, translate

SMALLEST: Final = (80, 24)
_BARS: Final = "▁▂▃▄▅▆▇█"
_STATES: Final = {"up": msgid("works"), "down": msgid("DOWN"), "unknown": msgid("no data")}
_STYLES: Final = {"up": "#55ff55", "down": "bold #ffffff on #b3261e", "unknown": "#ffff55"}
_WAITING: Final = {"few": msgid("few waiting"), "some": msgid("some waiting"), "many": msgid("MANY WAITING")}
_CERTIFICATE_SOON: Final = 21
_NAME: Final = (26, 38)  # columns, in a narrow and a wide window
_WIDE: Final = 100
_LOG_LEAST: Final = 3
_TALL: Final = 30
_FIXED: Final = 34

Lines = list[Text]


def lay_out(sight: Sight, columns: int, rows: int, *, language: str, clock: str, page: str, now_ms: int) -> Lines:
    """Exactly `rows` lines, none longer than `columns`. `page` is such as `1/3`, where there are several communes."""
    head = _bar(f" commune top  {sight.place}  {page}", f"{clock} ", columns)
    foot = _bar(" " + translate(language, msgid("q quit   l language   n next commune")), "", columns)
    body: Lines = []
    now = sight.look.now
    if sight.missed or now is None:
        body += _wrapped(_away(sight, language), columns, "bold #ffffff on #b3261e")
    if now is not None:
        body += _sentence(now, columns, language)
        body += _outages(now, columns, language, now_ms)
    below = _site(sight, columns, rows, language)
    log = now.log if now is not None else []
    room = rows - 2 - len(body) - len(below) - (1 + _LOG_LEAST if log else 0)
    body += _links(sight, columns, max(room, 3), language) if now is not None else []
    body += below
    left = rows - 2 - len(body) - 1
    if log and left > 0:
        body.append(_rule(translate(language, msgid("Log")), columns))
        body += [Text(line[:columns], style="#c0c0c0", no_wrap=True) for line in log[-left:]]
    body = body[: rows - 2]
    body += [Text()] * (rows - 2 - len(body))
    for line in body:
        line.truncate(columns)
    return [head, *body, foot]


def spark(past: tuple[float | None, ...], columns: int) -> str:
    """Round trips as bars, half as high as may be at their median; `x` where nothing answered."""
    shown = past[-columns:]
    known = sorted(value for value in shown if value)
    middle = known[len(known) // 2] if known else 1.0
    bars = ["x" if value is None else _BARS[min(7, math.floor(value / middle * 3.99))] for value in shown]
    return "".join(bars).rjust(columns)


def _away(sight: Sight, language: str) -> str:
    if sight.look.now is None and not sight.missed:
        return translate(language, msgid("Asking the agent ..."))
    return translate(
        language,
        msgid("The agent does not answer (asked {count} times): {error}"),
        count=sight.missed,
        error=sight.error,
    )


def _sentence(now: Now, columns: int, language: str) -> Lines:
    if now.diagnosis is None:
        return [Text(translate(language, msgid("No verdict yet.")), style="#ffff55")]
    fine = now.diagnosis.cause == "fine"
    says = now.diagnosis.says.en if language == "en" else now.diagnosis.says.vi
    do = now.diagnosis.do.en if language == "en" else now.diagnosis.do.vi
    lines = _wrapped(says, columns, "bold green" if fine else "bold #ffff55")
    return lines if fine or not do else [*lines, *_wrapped(f"→ {do}", columns, "")]


def _outages(now: Now, columns: int, language: str, now_ms: int) -> Lines:
    names = {rung.id: rung.name for rung in now.rungs}
    lines = []
    for outage in sorted(now.outages, key=lambda outage: outage.started_ms)[:2]:
        minutes = max(0, now_ms - outage.started_ms) // 60_000
        text = translate(
            language,
            msgid("Outage: {name} ({cause}), {hours} h {minutes} min"),
            name=names.get(outage.subject, outage.subject),
            cause=outage.cause,
            hours=minutes // 60,
            minutes=minutes % 60,
        )
        lines += _wrapped(text, columns, "#ff5555")
    if len(now.outages) > 2:
        lines.append(Text(translate(language, msgid("... and {count} more outages"), count=len(now.outages) - 2)))
    return lines


def _links(sight: Sight, columns: int, room: int, language: str) -> Lines:
    now = sight.look.now
    if now is None:
        return []
    order = {"down": 0, "unknown": 1, "up": 2}
    rungs = list(now.rungs)
    if len(rungs) > room - 1:
        rungs.sort(key=lambda rung: order.get(rung.state, 1))
    shown = rungs[: room - 1 if len(rungs) <= room - 1 else room - 2]
    named = _NAME[columns >= _WIDE]
    wide = columns - _FIXED - named
    heads = [
        translate(language, text)
        for text in (msgid("Link"), msgid("State"), msgid("ms"), msgid("loss"), msgid("cert."))
    ]
    lines = [_rule_of(f"{heads[0]:<{named}} {heads[1]:<14} {heads[2]:>6} {heads[3]:>5} {heads[4]:>5}", columns)]
    lines += [_link(rung, sight.past.get(rung.id, ()), now.uplink, (named, wide), language) for rung in shown]
    if len(shown) < len(rungs):
        hidden = rungs[len(shown) :]
        down = sum(rung.state == "down" for rung in hidden)
        text = msgid("... and {count} more, {down} of them down")
        lines.append(Text(translate(language, text, count=len(hidden), down=down), style="#c0c0c0"))
    return lines


def _link(rung: Rung, past: tuple[float | None, ...], uplink: str, widths: tuple[int, int], language: str) -> Text:
    named, wide = widths
    mark = "*" if uplink and rung.id == uplink else " "
    state = translate(language, _STATES.get(rung.state, rung.state))
    style = _STYLES.get(rung.state, "#ffff55")
    if rung.state == "up" and rung.lossy:
        state, style = translate(language, msgid("loses packets")), "bold #ffff55"
    line = Text(f"{mark}{_cut(rung.name, named - 1):<{named - 1}} ", no_wrap=True)
    line.append(f"{_cut(state, 14):<14}", style=style)
    line.append(f" {_number(rung.rtt_ms, 1):>6} {_percent(rung.loss_pct):>5} ")
    days = rung.certificate_days
    soon = days is not None and days <= _CERTIFICATE_SOON
    line.append(f"{'' if days is None else f'{math.floor(days)} d':>5}", style="bold #ffff55" if soon else "")
    line.append(f" {spark(past, wide - 1)}", style="cyan")
    return line


def _site(sight: Sight, columns: int, rows: int, language: str) -> Lines:
    now = sight.look.now
    lines: Lines = []
    if now is not None and now.journal is not None and now.broker is not None:
        lines.append(_rule(translate(language, msgid("Site")), columns))
        lines += _trunk(now.broker, now.journal, columns, language)
        lines += _devices(now, columns, language)
    lines += _kiosks(sight, columns, language, most=2 if rows < _TALL else 6)
    return lines


def _trunk(broker: BrokerView, journal: JournalView, columns: int, language: str) -> Lines:
    """What everything of the site goes through: its broker, the way on to the province, the journal."""
    say = partial(translate, language)
    joined = {True: say(msgid("up")), False: say(msgid("NOT CONNECTED"))}
    days = broker.certificate_days
    parts = [say(msgid("broker {broker}"), broker=joined[broker.connected])]
    if broker.bridged is not None:
        parts.append(say(msgid("province {bridge}"), bridge=joined[broker.bridged]))
    if days is not None:
        left, ended = msgid("certificate {days} d"), msgid("CERTIFICATE EXPIRED")
        parts.append(say(left, days=math.floor(days)) if days >= 0 else say(ended))
    state = say(msgid("recording")) if journal.recording else say(msgid("NOT RECORDING"))
    parts.append(say(msgid("journal {journal}, {count} waiting"), journal=state, count=journal.waiting))
    soon = days is not None and days <= _CERTIFICATE_SOON
    fine = broker.connected and broker.bridged is not False and journal.recording and not soon
    return _wrapped("   ".join(map(_whole, parts)), columns, "" if fine else "bold #ffff55")


def _kiosks(sight: Sight, columns: int, language: str, *, most: int) -> Lines:
    """Those with something wrong first."""
    silent = msgid("{kiosk}: DOES NOT ANSWER")
    kiosks = [_wrapped(translate(language, silent, kiosk=name), columns, "bold #ffff55") for name in sight.look.silent]
    bad = len(kiosks) + sum(not _is_good(kiosk) for kiosk in sight.look.kiosks)
    kiosks += [_kiosk(kiosk, columns, language) for kiosk in sorted(sight.look.kiosks, key=_is_good)]
    shown = kiosks if len(kiosks) <= most else kiosks[: most - 1]
    lines = [line for kiosk in shown for line in kiosk]
    if hidden := len(kiosks) - len(shown):
        text = msgid("... and {count} more kiosks, {bad} of them with something wrong")
        wrong = max(0, bad - len(shown))
        lines.append(Text(translate(language, text, count=hidden, bad=wrong), style="#c0c0c0"))
    return lines


def _devices(now: Now, columns: int, language: str) -> Lines:
    words = {True: msgid("present"), False: msgid("GONE"), None: msgid("never heard")}
    parts = [f"{device.id} {translate(language, words[device.online])}" for device in now.devices]
    away = [part for part, device in zip(parts, now.devices, strict=True) if not device.online]
    here = [part for part, device in zip(parts, now.devices, strict=True) if device.online]
    if not parts:
        return []
    lines = _wrapped("   ".join(map(_whole, [*away, *here])), columns, "bold #ffff55" if away else "")
    if len(lines) > 2:
        text = msgid("... of {count} devices {away} are not present")
        lines = [lines[0], Text(translate(language, text, count=len(parts), away=len(away)))]
    return lines


def _is_good(kiosk: KioskNow) -> bool:
    inputs = [*kiosk.panels.values(), *kiosk.keypads.values()]
    return kiosk.broker and kiosk.disk and kiosk.screen is not False and (any(inputs) or not inputs)


def _kiosk(kiosk: KioskNow, columns: int, language: str) -> Lines:
    def say(text: str) -> str:
        return translate(language, text)

    inputs = [*kiosk.panels.values(), *kiosk.keypads.values()]
    parts = []
    if inputs:
        parts.append(say(msgid("buttons connected")) if any(inputs) else say(msgid("BUTTONS NOT CONNECTED")))
    if kiosk.screen is not None:
        parts.append(say(msgid("screen shows")) if kiosk.screen else say(msgid("SCREEN DARK")))
    if kiosk.screen_restarts:
        parts.append(translate(language, msgid("screen restarted {count} times"), count=kiosk.screen_restarts))
    parts.append(say(msgid("broker connected")) if kiosk.broker else say(msgid("NO BROKER")))
    parts.append(say(_WAITING.get(kiosk.waiting, kiosk.waiting)))
    if not kiosk.disk:
        parts.append(say(msgid("CANNOT SAVE")))
    return _wrapped(
        f"{kiosk.device}: {', '.join(map(_whole, parts))}", columns, "" if _is_good(kiosk) else "bold #ffff55"
    )


def _bar(left: str, right: str, columns: int) -> Text:
    middle = max(0, columns - len(left) - len(right))
    line = Text((left + " " * middle + right)[:columns].ljust(columns), style="bold #ffffff on #1b3f9c", no_wrap=True)
    line.truncate(columns)
    return line


def _rule(title: str, columns: int) -> Text:
    return Text(f"── {title} ".ljust(columns, "─"), style="cyan", no_wrap=True)


def _rule_of(text: str, columns: int) -> Text:
    return Text(text.ljust(columns), style="bold cyan", no_wrap=True)


def _wrapped(text: str, columns: int, style: str) -> Lines:
    return [Text(line, style=style) for line in textwrap.wrap(text, columns)]


def _whole(text: str) -> str:
    """Not to be broken between two lines."""
    return text.replace(" ", "\u00a0")


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else f"{text[: columns - 1]}…"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}" if value < 1000 else f"{value:.0f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}%"

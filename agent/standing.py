"""How everything stands now, as plain values for the technician's view: the sentence, rungs, devices, journal. Pure."""

from collections.abc import Sequence
from typing import Any

from agent.devices import Company
from agent.judgement import State, told_in_words, uplink_of
from agent.ladder import Ladder, View, views
from agent.layout import Layout


def standing(
    state: State,
    company: Company,
    *,
    waiting: int,
    connected: bool,
    bridged: bool | None = None,
    certificate_days: float | None = None,
    log: Sequence[str] = (),
) -> dict[str, Any]:
    """All of it. `waiting`: records the hub has not receipted; `log`: the newest lines.

    `connected`: the commune's broker is; `bridged`: that broker says that it is connected to the province's, None where
    it says nothing; `certificate_days` are those left of the certificate that the box shows to it.
    """
    seen = views(state.ladder)
    told = told_in_words(state)
    return {
        "diagnosis": None
        if told is None
        else {
            "cause": str(told.finding.cause),
            "subject": told.finding.subject,
            "confidence": told.finding.confidence,
            "says": {"vi": told.says.vi, "en": told.says.en},
            "do": {"vi": told.do.vi, "en": told.do.en},
        },
        "uplink": uplink_of(state, seen),
        "rungs": [_rung(view, state.layout, state.ladder) for view in seen.values()],
        "outages": [
            {"subject": outage.subject, "cause": outage.cause, "started_ms": outage.started_ms}
            for outage in state.book.open.values()
        ],
        "devices": [
            {"id": name, "part": member.part, "online": member.told, "expected": member.expected}
            for name, member in company.members.items()
        ],
        "journal": {"waiting": waiting, "recording": state.recording},
        "broker": {"connected": connected, "bridged": bridged, "certificate_days": certificate_days},
        "log": list(log),
    }


def _rung(view: View, layout: Layout, ladder: Ladder) -> dict[str, Any]:
    newest = [ladder.tracks[name].last for name in view.rung.targets if name in ladder.tracks]
    rtts = [result.rtt_ms for result in newest if result is not None and result.rtt_ms is not None]
    days = [result.certificate_days for result in newest if result is not None and result.certificate_days is not None]
    return {
        "id": view.rung.id,
        "kind": str(view.rung.kind),
        "name": layout.words.names.get(view.rung.id, view.rung.id),
        "state": str(view.state),
        "lossy": view.lossy,
        "loss_pct": view.loss_pct,
        "rtt_ms": min(rtts, default=None),
        "reason": view.last.reason if view.last else "",
        "certificate_days": min(days, default=None),
    }

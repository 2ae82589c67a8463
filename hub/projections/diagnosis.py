"""The one cause of what is wrong at a site, and since when."""

import msgspec

from bus.entries import DiagnosisChanged
from hub import schema
from hub.projections.rows import Projected, Source, Write


def changed(source: Source, data: DiagnosisChanged) -> Projected:
    """`diagnosis.changed`."""
    row = source.key() | {
        "at_ms": source.wall_ms,
        "since_ms": source.moved(data.since_ms),
        "cause": data.cause,
        "subject": data.subject,
        "confidence": data.confidence,
        "says_vi": data.says.vi,
        "says_en": data.says.en,
        "do_vi": data.do.vi,
        "do_en": data.do.en,
        "evidence": msgspec.json.encode(data.evidence).decode(),
        "uplink": data.uplink,
    }
    return Projected([Write(schema.diagnosis, row, update=("at_ms", "since_ms"))], ["diagnosis"])

"""Opening a journal's folder, whatever state it is in.

Segments whose seal holds are believed (and compared with their checksum where a consumer still needs them); all others
are scanned, made durable, and put in order: a torn tail is cut away, damage is cut out into quarantine. Where the disk
takes no writes the findings stand in memory only, and the next open finds them again. Nothing here raises on damage;
a shortage of descriptors or memory is no damage and is raised.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bus.entries import JournalOpened
from bus.files import is_shortage
from bus.journal import disk
from bus.journal import segment as segments
from bus.journal.frame import Frame, scan, seed_of
from bus.journal.memory import Notes, recall
from bus.journal.quarantine import Quarantine
from bus.journal.segment import Findings, Place, Segment
from bus.journal.stream import Stream
from bus.journal.views import Counters
from bus.logs import fields
from bus.messages import Entry, EntryClass
from bus.ranges import count, subtract

_log = logging.getLogger("journal")


@dataclass(slots=True)
class Shelf:
    """The segments folder of one journal."""

    folder: Path
    quarantine: Quarantine
    counters: Counters
    consumers: tuple[str, ...]
    streams: list[Stream] = field(default_factory=list)

    def load(self, notes: Notes | None) -> bool:
        """Find all streams; return whether anything was damaged since the last time."""
        placed: dict[tuple[int, str, EntryClass], list[Place]] = defaultdict(list)
        for name in sorted(path.name for path in self.folder.iterdir()):
            place = segments.read_name(name)
            if place is not None and (self.folder / name).is_file():
                placed[place.ordinal, place.epoch, place.klass].append(place)
            elif not (self.folder / name).is_dir():
                self._expel(name)
        noted = {} if notes is None else {(note.epoch, note.klass): note for note in notes.streams}
        known = {(epoch, klass): ordinal for ordinal, epoch, klass in placed}
        for (epoch, klass), noted_stream in noted.items():
            if (epoch, klass) not in known:
                placed[noted_stream.ordinal, epoch, klass] = []
        for (ordinal, epoch, klass), places in sorted(placed.items()):
            stream = Stream(ordinal, epoch, klass)
            note = noted.get((epoch, klass))
            if note is not None:
                recall(stream, note)
            self._load_segments(stream, places)
            if note is not None:
                recall(stream, note)
            elif notes is None and stream.segments:
                # With no notes at all, what is not here is taken to have gone by rule.
                first = stream.first_held()
                stream.gone = ((1, first - 1),) if first > 1 else ()
            if stream.head:  # a file that never held anything is no epoch
                self.streams.append(stream)
        self._hear_successors()
        return self._count_damage({key: note.damaged for key, note in noted.items()})

    def _load_segments(self, stream: Stream, places: list[Place]) -> None:
        for index, place in enumerate(places):
            limit = places[index + 1].first if index + 1 < len(places) else None
            segment = self._load_one(place, stream, limit)
            if segment is None:
                continue
            stream.head = max(stream.head, segment.last)
            if segment.held:
                stream.chain, stream.chained = segment.chain, segment.held[-1][1]
                stream.segments.append(segment)

    def _load_one(self, place: Place, stream: Stream, limit: int | None) -> Segment | None:
        path = self.folder / place.name
        try:
            sealed = segments.read_sealed(path, place)
            if sealed is not None:
                needed = subtract(sealed.held, stream.stored_by_all(self.consumers))
                if (limit is None or sealed.last < limit) and (not needed or segments.check_bytes(sealed)):
                    return sealed
            return self.mend(path, place, durable=max(stream.head, sealed.last if sealed else 0), limit=limit)
        except OSError as error:
            if is_shortage(error):
                raise
            self.counters.disk_errors += 1
            _log.error("segment cannot be read %s", fields(file=place.name, error=error))
            return None

    def mend(self, path: Path, place: Place, *, durable: int, limit: int | None = None) -> Segment:
        """Scan a segment, set aside what is no frame, leave a clean sealed file where the disk allows it."""
        segment, findings = segments.scan_file(path, place, durable=durable, limit=limit)
        self.counters.torn_bytes += findings.torn_bytes
        self.counters.quarantined_bytes += sum(len(content) for _, content in findings.junk)
        try:
            self._set_aside(place, findings)
            _put_in_order(segment, findings)
        except OSError as error:
            self.counters.disk_errors += 1
            _log.warning("segment stays as it is %s", fields(file=place.name, error=error))
        return segment

    def review(self, stream: Stream, segment: Segment, *, growing: bool) -> None:
        """Scan a segment again because reading it met damage. Call with the journal's lock held.

        A file that is gone, or broken as a whole, holds nothing any more; the next open looks at it again. `OSError`:
        it cannot be read now, and stays as it was known.
        """
        whole = ((segment.place.first, segment.last),)
        try:
            if growing:
                seen, findings = segments.scan_file(
                    segment.path, segment.place, durable=segment.last, size=segment.size
                )
                segment.gaps = subtract(whole, seen.held)
                self.counters.quarantined_bytes += sum(len(content) for _, content in findings.junk)
                return
            fresh = self.mend(segment.path, segment.place, durable=segment.last, limit=segment.last + 1)
        except OSError as error:
            if is_shortage(error) or isinstance(error, PermissionError):
                raise
            self.counters.disk_errors += 1
            _log.error("segment cannot be read %s", fields(file=segment.path.name, error=error))
            if growing:
                segment.gaps = whole
            else:
                stream.segments.remove(segment)
            return
        fresh.receipted_ms = segment.receipted_ms
        at = stream.segments.index(segment)
        stream.segments[at : at + 1] = [fresh] if fresh.held else []

    def _set_aside(self, place: Place, findings: Findings) -> None:
        for offset, content in findings.junk:
            self.quarantine.keep(f"{place.name}.{offset}", content)
            _log.warning("unreadable bytes set aside %s", fields(file=place.name, at=offset, bytes=len(content)))

    def _expel(self, name: str) -> None:
        """A file that is no segment: left over from a mending, or garbage."""
        path = self.folder / name
        try:
            if not name.endswith(".part"):
                self.counters.quarantined_bytes += path.stat().st_size
                with segments.opened(path) as descriptor:
                    content = disk.read_at(descriptor, 0, 1024 * 1024)
                self.quarantine.keep(name[:100], content)
                _log.warning("file is no segment, set aside %s", fields(file=name))
            path.unlink()
        except OSError as error:
            self.counters.disk_errors += 1
            _log.warning("file is no segment and stays %s", fields(file=name, error=error))

    def _hear_successors(self) -> None:
        """Each epoch's first record says how far the one before had come."""
        records = {stream.epoch: stream for stream in self.streams if stream.klass == "record"}
        for stream in records.values():
            opened = self._first_record(stream)
            before = records.get(opened.previous_epoch) if opened is not None else None
            if opened is not None and before is not None and before is not stream:
                before.head = max(before.head, opened.previous_head)

    def _first_record(self, stream: Stream) -> JournalOpened | None:
        if not stream.segments or stream.segments[0].place.first != 1:
            return None
        first = stream.segments[0]
        try:
            with segments.opened(first.path) as descriptor:
                pieces = scan(_reader(descriptor), 0, first.size, seed_of(stream.epoch, stream.klass))
                frame = next(pieces, None)
            if not isinstance(frame, Frame) or frame.seq != 1:
                return None
            entry = msgspec.json.decode(frame.entry, type=Entry)
            return msgspec.json.decode(entry.data, type=JournalOpened) if entry.kind == "journal.opened" else None
        except ValueError:
            return None
        except OSError as error:
            if is_shortage(error):
                raise
            return None

    def _count_damage(self, known: dict[tuple[str, EntryClass], list[tuple[int, int]]]) -> bool:
        fresh = 0
        for stream in self.streams:
            damaged = subtract(stream.damaged(), known.get((stream.epoch, stream.klass), []))
            if damaged:
                fresh += count(damaged)
                stream.touched_ms, stream.told = 0, False
                _log.error(
                    "entries are damaged %s", fields(epoch=stream.epoch, klass=stream.klass, entries=list(damaged))
                )
        self.counters.damaged += fresh
        return fresh > 0


def _put_in_order(segment: Segment, findings: Findings) -> None:
    if not segment.held:
        segment.path.unlink()
        return
    if not findings.whole:
        segments.rewrite(segment)
        return
    descriptor = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        segments.seal_in_place(segment, descriptor)
    finally:
        os.close(descriptor)


def _reader(descriptor: int) -> Callable[[int, int], bytes]:
    return lambda offset, size: disk.read_at(descriptor, offset, size)


__all__ = ["Shelf"]

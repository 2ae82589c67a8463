"""The shells round `bus.desired`: a device that converges, and an issuer that desires.

A document counts only where it came on its issuer's topic, names that issuer and our site, and is signed by a key that
is allowed to this issuer. What was taken is on disk before it is acted on, so that a `restart` obeyed is not obeyed
again after the restart. Both sides publish what they own again at each connect: brokers keep nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from bus import desired, envelope, topics
from bus.desired import Act, DesiredState, Result
from bus.envelope import KeyId, SigningKey
from bus.errors import CommuneError, UnavailableError, UntrustedError, WrongInputError
from bus.files import is_shortage, replace_file
from bus.identifiers import DeviceId, SiteId
from bus.link import Incoming, LinkBase
from bus.logs import fields
from bus.messages import DESIRED_TYPE, REPORTED_TYPE, Desired, Reached, Reported, encode

log = logging.getLogger(__name__)

T = TypeVar("T")

Handler = Callable[[msgspec.Raw], Awaitable[str | None]]
_desired = msgspec.json.Decoder(Desired)
_reported = msgspec.json.Decoder(Reported)


@dataclass(slots=True)
class ConvergenceCounters:
    """Since the start."""

    documents: int = 0
    untrusted: int = 0
    acts: int = 0
    refused: int = 0
    failed: int = 0
    report_refused: int = 0
    disk_errors: int = 0


@dataclass(frozen=True, slots=True)
class _Property:
    handler: Handler
    ends_process: bool


class Converger:
    """Brings one device to what its issuers desire. Register handlers, then `link.start`."""

    def __init__(
        self,
        link: LinkBase,
        *,
        site: SiteId,
        device: DeviceId,
        issuer_keys: Mapping[DeviceId, Mapping[KeyId, bytes]],
        state_file: Path,
        on_reached: Callable[[DeviceId, str, Reached], Awaitable[object]] | None = None,
    ) -> None:
        self.counters: Final = ConvergenceCounters()
        self._link = link
        self._site = site
        self._device = device
        self._issuer_keys = issuer_keys
        self._file = state_file
        self._on_reached = on_reached
        self._properties: dict[str, _Property] = {}
        self._state = _recall(state_file, DesiredState)
        for issuer in issuer_keys:
            link.subscribe(topics.desired(site, issuer), self._take)
        link.watch(on_connect=self._report)

    def handle(self, name: str, handler: Handler, *, ends_process: bool = False) -> None:
        """Have `handler` bring property `name` to a value (JSON bytes); what it returns is reported as detail.

        `WrongInputError` from it means refused, any other error failed. With `ends_process` it is noted as done before
        the handler is called, for it may never return; once noted it is called, whatever fails in between.
        """
        self._properties[name] = _Property(handler, ends_process)

    def redo(self, name: str) -> None:
        """What was done for this property is lost (a file is unreadable): do it again. Call before `link.start`."""
        self._state = desired.redo(self._state, name)

    @property
    def reached(self) -> dict[str, dict[str, Reached]]:
        """By issuer and property."""
        return desired.reached(self._state)

    async def _take(self, incoming: Incoming) -> None:
        try:
            document = self._read(incoming)
        except CommuneError as error:
            self.counters.untrusted += 1
            log.warning("desired state not believed %s", fields(topic=incoming.topic, error=error))
            return
        self.counters.documents += 1
        before = self._state
        self._state, acts = desired.take(before, document, self._device)
        if self._state is before:
            return
        kept = self._keep()
        for act in acts:
            await self._act(act, kept=kept)
        await self._report()

    def _read(self, incoming: Incoming) -> Desired:
        parts = incoming.topic.split("/")
        issuer = parts[-1]
        envelope.verify(incoming.sealed, self._issuer_keys.get(issuer, {}))
        try:
            document = _desired.decode(envelope.unseal(incoming.sealed, DESIRED_TYPE))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise WrongInputError(f"signed by {issuer} and not readable: {error}") from error
        if document.issuer != issuer or document.site != self._site:
            raise UntrustedError(f"{document.issuer}'s for {document.site}, and it came on {incoming.topic}")
        return document

    async def _act(self, act: Act, *, kept: bool) -> None:
        self.counters.acts += 1
        known = self._properties.get(act.name)
        if known is None:
            await self._settle(act, "refused", "this device does not know the property")
        elif known.ends_process:
            await self._end_process(act, known.handler, kept=kept)
        else:
            result, detail = await self._run(known.handler, act)
            await self._settle(act, result, detail)

    async def _end_process(self, act: Act, handler: Handler, *, kept: bool) -> None:
        before = self._state
        self._state = desired.settle(before, act, "done")
        if not kept or not self._keep():
            self._state = before
            await self._settle(act, "failed", "not obeyed: the disk took no note, so it would be obeyed for ever")
            return
        await self._tell(act, "done", "")
        await self._report()
        result, detail = await self._run(handler, act)
        if result != "done":
            await self._settle(act, result, detail)

    async def _run(self, handler: Handler, act: Act) -> tuple[Result, str]:
        try:
            return "done", await handler(act.value) or ""
        except WrongInputError as error:
            return "refused", str(error)
        except CommuneError as error:
            return "failed", str(error)
        except Exception as error:
            log.exception("desired property failed %s", fields(name=act.name))
            return "failed", f"{type(error).__name__}: {error}"

    async def _settle(self, act: Act, result: Result, detail: str) -> None:
        self.counters.refused += result == "refused"
        self.counters.failed += result == "failed"
        self._state = desired.settle(self._state, act, result, detail)
        self._keep()
        await self._tell(act, result, detail)

    async def _tell(self, act: Act, result: Result, detail: str) -> None:
        log.info("desired property %s", fields(issuer=act.issuer, name=act.name, result=result, detail=detail))
        if self._on_reached is not None:
            try:
                await self._on_reached(act.issuer, act.name, Reached(act.version, result, detail))
            except Exception:
                log.exception("listener failed %s", fields(issuer=act.issuer, name=act.name))

    async def _report(self) -> None:
        reported = Reported(self._device, self.reached)
        topic = topics.reported(self._site, self._device)
        try:
            await self._link.publish(topic, encode(reported), content_type=REPORTED_TYPE, retain=True)
        except UnavailableError:
            return  # it is reported at the next connect
        except CommuneError as error:
            self.counters.report_refused += 1
            log.error("report refused %s", fields(topic=topic, error=error))

    def _keep(self) -> bool:
        try:
            replace_file(self._file, encode(self._state))
        except OSError as error:
            self.counters.disk_errors += 1
            log.error("desired state not kept %s", fields(file=self._file, error=error))
            return False
        return True


class _IssuerFile(msgspec.Struct):
    version: int = 0
    devices: dict[str, dict[str, msgspec.Raw]] = {}


class DesiredIssuer:
    """Desires something of the devices of a site, and hears how far they are.

    Where the file of its wishes cannot be read it is set aside, and nothing is desired until the next wish.
    """

    def __init__(
        self,
        link: LinkBase,
        *,
        site: SiteId,
        issuer: DeviceId,
        key: SigningKey,
        state_file: Path,
        now_ms: Callable[[], int],
        on_reported: Callable[[DeviceId, dict[str, Reached]], Awaitable[object]] | None = None,
    ) -> None:
        self._link = link
        self._site = site
        self._issuer = issuer
        self._key = key
        self._file = state_file
        self._now_ms = now_ms
        self._on_reported = on_reported
        self._reached: dict[DeviceId, dict[str, Reached]] = {}
        self._lock = asyncio.Lock()
        self._document = _recall(state_file, _IssuerFile)
        link.subscribe(topics.reported(site, "+"), self._hear)
        link.watch(on_connect=self.publish)

    @property
    def version(self) -> int:
        """Of the latest document."""
        return self._document.version

    def reached(self, device: DeviceId) -> dict[str, Reached]:
        """How far a device is with what we desire of it, by property."""
        return self._reached.get(device, {})

    async def desire(self, device: DeviceId, name: str, value: Any) -> int:
        """Want property `name` of `device` at `value` (anything JSON can say; None: want nothing); the version.

        It is on disk on return, and published where the broker is connected. `UnavailableError` where the disk takes it
        not: then nothing has changed.
        """
        async with self._lock:
            wanted = {one: dict(properties) for one, properties in self._document.devices.items()}
            if value is None:
                wanted.get(device, {}).pop(name, None)
            else:
                wanted.setdefault(device, {})[name] = msgspec.Raw(encode(value))
            # By the clock, so that an issuer which lost its file is still newer than what it issued before.
            document = _IssuerFile(max(self._document.version + 1, self._now_ms()), wanted)
            try:
                await asyncio.to_thread(replace_file, self._file, encode(document))
            except OSError as error:
                raise UnavailableError(f"{self._file} cannot be written: {error}; make room, then again") from error
            self._document = document
        await self.publish()
        return document.version

    async def publish(self) -> None:
        """Publish the document again; nothing before the first wish."""
        if not self._document.version:
            return
        document = Desired(self._site, self._issuer, self._document.version, self._document.devices)
        sealed = envelope.seal(encode(document), DESIRED_TYPE, self._key)
        try:
            await self._link.publish_sealed(topics.desired(self._site, self._issuer), sealed, retain=True)
        except UnavailableError:
            return  # published at the next connect

    async def _hear(self, incoming: Incoming) -> None:
        try:
            place = topics.read_device_topic(incoming.topic)
            reported = _reported.decode(incoming.body)
        except (CommuneError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            log.warning("report not readable %s", fields(topic=incoming.topic, error=error))
            return
        if reported.device != place.device:
            log.warning("report speaks for another %s", fields(topic=incoming.topic, device=reported.device))
            return
        # Reports are not signed: what we do not desire is not remembered, so they cannot fill the memory.
        wanted = self._document.devices.get(place.device, {})
        reached = {name: one for name, one in reported.reached.get(self._issuer, {}).items() if name in wanted}
        if not reached and place.device not in self._reached:
            return
        self._reached[place.device] = reached
        if self._on_reported is not None:
            await self._on_reported(place.device, self._reached[place.device])


def _recall(state_file: Path, kind: type[T]) -> T:
    """What the file holds. Begins anew where there is none, and where it is unreadable: then it is set aside."""
    try:
        return msgspec.json.decode(state_file.read_bytes(), type=kind)
    except FileNotFoundError:
        return kind()
    except OSError as error:
        if is_shortage(error):
            raise UnavailableError(f"{state_file} cannot be read now: {error}") from error
        reason: Exception = error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = error
    aside = state_file.with_name(f"{state_file.name}.unreadable")
    log.error("what is desired is lost, begins anew %s", fields(file=state_file, error=reason, kept_as=aside.name))
    with contextlib.suppress(OSError):
        state_file.replace(aside)
    return kind()

"""History with true time stamps, backfill included, to any store that takes Prometheus remote write.

What always holds:

- A sample block leaves the queue only when the store has taken it, or has refused it for good, which is counted: the
  sample itself is wrong (400, 409, 413, 422), whenever it is sent.
- Every other answer (401, 403 and 404 are a wrong token or address, which people put right) and none is tried again for
  ever, with backoff, and counted; the queue is in our store and survives anything that one does.
- A request that is refused is halved until the one bad block is found: it does not take the others along.
- Only samples whose time is known are in the queue (`hub.intake`); nothing is ever written at a guessed time.

Sending twice is harmless (same series, same time, same value), so several hubs need no more than a lock to spare work.
"""

import asyncio
import logging
import random
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import msgspec
from sqlalchemy import and_, delete, select

from bus.backoff import Backoff
from bus.entries import SampleBlock
from bus.errors import UnavailableError, WrongInputError
from bus.logs import fields
from hub import remote_write, schema, series
from hub.config import RemoteWriteConfig
from hub.counters import raise_counter
from hub.database import Database
from hub.live import Live
from hub.turnstile import EXPORT, Turnstile

if TYPE_CHECKING:
    from hub.series import Labels

log = logging.getLogger(__name__)

_IDLE_S: Final = 1.0
_FINAL: Final = frozenset({400, 409, 413, 422})
# Prometheus answered a sample beyond its out-of-order window with 500, for ever (prometheus/prometheus#13334, in 2.42).
_FINAL_WORDS: Final = ("too old sample",)
_PATIENT: Final = Backoff()
_block = msgspec.json.Decoder(SampleBlock)


@dataclass(frozen=True, slots=True)
class Block:
    """A sample block of the queue. `shift_ms` is what an anchor moved its time by."""

    queue_id: int
    ours: dict[str, str]
    shift_ms: int
    data: str


class _RefusedError(Exception):
    """The store will never take this."""

    def __init__(self, status: int, says: str) -> None:
        super().__init__(says)
        self.status = status


class Exporter:
    """Empties the queue into one remote store."""

    def __init__(self, database: Database, config: RemoteWriteConfig, live: Live, backoff: Backoff = _PATIENT) -> None:
        self._database = database
        self._turnstile = Turnstile(database, EXPORT)
        self._config = config
        self._live = live
        self._backoff = backoff

    async def run(self) -> None:
        """Work until cancelled."""
        trust = trust_of(self._config)
        try:
            async with httpx.AsyncClient(timeout=self._config.timeout_s, verify=trust) as client:
                while True:
                    try:
                        if not await self._turn(client):
                            await asyncio.sleep(_IDLE_S)
                    except UnavailableError as error:
                        self._live.export_failures["unavailable"] += 1
                        log.warning("export waits %s", fields(error=str(error).split("\n")[0]))
                        await asyncio.sleep(self._backoff.cap_s / 4)
                    except Exception:  # what one request makes go wrong must not end the hub
                        self._live.export_failures["fault"] += 1
                        log.exception("export broke")
                        await asyncio.sleep(self._backoff.cap_s / 4)
        finally:
            self._turnstile.close()

    async def _turn(self, client: httpx.AsyncClient) -> bool:
        """Send what waits, up to one request's worth; whether there was anything."""
        if not await asyncio.to_thread(self._turnstile.pass_):
            return False
        blocks = await asyncio.to_thread(read_queue, self._database, self._config.blocks)
        if not blocks:
            return False
        refused = await self._send(client, blocks)
        await asyncio.to_thread(self._settle, blocks, refused)
        return True

    async def _send(self, client: httpx.AsyncClient, blocks: Sequence[Block]) -> Counter[tuple[str, str]]:
        body, samples, given_up = await asyncio.to_thread(encode, blocks)
        try:
            if samples:
                await self._post(client, body)
        except _RefusedError as error:
            if len(blocks) > 1:
                half = len(blocks) // 2
                return await self._send(client, blocks[:half]) + await self._send(client, blocks[half:])
            log.warning("samples refused %s", fields(status=error.status, **blocks[0].ours, says=str(error)))
            given_up["remote-write", f"http-{error.status}"] += 1
            return given_up
        self._live.exported_blocks += len(blocks)
        self._live.exported_samples += samples
        return given_up

    async def _post(self, client: httpx.AsyncClient, body: bytes) -> None:
        failures = 0
        while True:
            wait_s = self._backoff.delay_s(failures, random.random())  # noqa: S311 - jitter is no secret
            try:
                answer = await client.post(self._config.url, content=body, headers=self._headers())
            except httpx.HTTPError as error:
                reason, says = "no-answer", str(error) or type(error).__name__
            else:
                if answer.is_success:
                    return
                says = answer.text[:300]
                if _is_final(answer.status_code, says):
                    raise _RefusedError(answer.status_code, says)
                reason = f"http-{answer.status_code}"
                wait_s = max(wait_s, _retry_after_s(answer, self._backoff.cap_s))
            self._live.export_failures[reason] += 1
            if failures == 0:
                log.warning("remote write waits %s", fields(reason=reason, says=says))
            failures += 1
            await asyncio.sleep(wait_s)

    def _headers(self) -> dict[str, str]:
        if not self._config.token:
            return remote_write.HEADERS
        try:  # read anew: tokens are renewed while we run
            token = read_token(self._config)
        except WrongInputError as error:
            raise UnavailableError(str(error)) from error
        return remote_write.HEADERS | {"Authorization": f"Bearer {token}"}

    def _settle(self, blocks: Sequence[Block], given_up: Counter[tuple[str, str]]) -> None:
        queue = schema.export_queue
        with self._database.write() as connection:
            connection.execute(delete(queue).where(queue.c.id.in_([block.queue_id for block in blocks])))
            for (name, label), count in given_up.items():
                raise_counter(connection, name, label, count)


def read_token(config: RemoteWriteConfig) -> str:
    """The bearer token for the store; `WrongInputError` where there is none to send."""
    try:
        token = Path(config.token).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise WrongInputError(f"remote_write.token: {config.token} cannot be read: {error}") from error
    if not token.isascii() or not token.isprintable() or not token:
        raise WrongInputError(f"remote_write.token: {config.token} holds no token: one line of ASCII wanted")
    return token


def trust_of(config: RemoteWriteConfig) -> ssl.SSLContext:
    """How the store's certificate is checked, and ours; `WrongInputError` where a file cannot be used."""
    try:
        trust = ssl.create_default_context(cafile=config.ca or None)
        if config.cert:
            trust.load_cert_chain(config.cert, config.key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise WrongInputError(f"remote_write's ca, cert or key cannot be used: {error}") from error
    return trust


def read_queue(database: Database, limit: int) -> list[Block]:
    """The oldest blocks that wait."""
    queue, sample, device, site, journal = (
        schema.export_queue,
        schema.sample,
        schema.device,
        schema.site,
        schema.journal,
    )
    query = (
        select(queue.c.id, site.c.code, site.c.id, device.c.id, sample.c.wall_ms - sample.c.raw_wall_ms, sample.c.data)
        .join(sample, and_(sample.c.journal_id == queue.c.journal_id, sample.c.seq == queue.c.seq))
        .join(journal, journal.c.id == queue.c.journal_id)
        .join(device, device.c.id == journal.c.device_id)
        .join(site, site.c.id == device.c.site_id)
        .order_by(queue.c.id)
        .limit(limit)
    )
    with database.read() as connection:
        return [
            Block(row[0], {"commune": row[1], "site": row[2], "device": row[3]}, row[4], row[5])
            for row in connection.execute(query)
        ]


def encode(blocks: Sequence[Block]) -> tuple[bytes, int, Counter[tuple[str, str]]]:
    """One request for these blocks, how many samples it holds, and what had to be left out, by name and reason."""
    gathered: dict[Labels, dict[int, float]] = {}
    given_up: Counter[tuple[str, str]] = Counter()
    for block in blocks:
        try:
            data = _block.decode(block.data)
        except (msgspec.MsgspecError, RecursionError):
            given_up["sample-block", "unreadable"] += 1
            continue
        if data.step_ms < 1:
            given_up["sample-block", "step"] += 1
            continue
        start_ms = data.start_ms + block.shift_ms
        for name, values in data.series.items():
            try:
                labels = series.placed(series.parse(name), block.ours)
            except WrongInputError:
                given_up["series", "name"] += 1
                continue
            points = gathered.setdefault(labels, {})
            for at, value in enumerate(values):
                at_ms = start_ms + at * data.step_ms
                if value is not None and abs(at_ms) < 2**62:
                    points[at_ms] = value
    full = [(labels, sorted(points.items())) for labels, points in gathered.items() if points]
    return remote_write.body(full), sum(len(points) for _, points in full), given_up


def _is_final(status: int, says: str) -> bool:
    return status in _FINAL or (status >= 500 and any(word in says for word in _FINAL_WORDS))


def _retry_after_s(answer: httpx.Response, cap_s: float) -> float:
    try:
        return min(max(float(answer.headers.get("Retry-After", "0")), 0), cap_s)
    except ValueError:  # a date: the backoff is good enough
        return 0.0

"""ICMP probes: bursts at many addresses at once over few sockets.

One socket serves all bursts of one address family and one way out. An unprivileged ICMP socket is taken where
`net.ipv4.ping_group_range` lets us, else a raw one (CAP_NET_RAW). Each packet in flight has its own sequence number on
its socket, each burst its own random token and, on raw sockets, its own ICMP id. Errors that routers send back come
over the socket's error queue (ip(7), IP_RECVERR).

A probe never raises: a socket that cannot be had is a probe with reason `UNASKED`, which says nothing of its target.
"""

import asyncio
import ipaddress
import itertools
import os
import secrets
import time
from contextlib import suppress
from typing import Final

from agent.observations import UNASKED, ProbeResult
from agent.senses.binding import ANY, Via
from agent.senses.burst import BurstRule, judge
from agent.senses.faults import failed, name_fault
from agent.senses.icmp_codec import TOKEN_BYTES, Echo, decode_quoted, decode_reply, encode_request
from agent.senses.icmp_socket import open_icmp, read_error_queue
from bus.errors import UnavailableError

_LATE_FACTOR: Final = 4  # how many times slower than the burst's slowest answer another may be
_BATCH: Final = 64  # packets read at one wake-up, so that a flood cannot hold the loop


class _Burst:
    """One probe under way: its packets by sequence number, and the answers so far, to the first wave and to all."""

    def __init__(self, ident: int) -> None:
        self.ident = ident
        self.token = secrets.token_bytes(TOKEN_BYTES)
        self.wave = 0
        self.sent = 0
        self.sent_first = 0
        self.open: dict[int, tuple[int, int]] = {}  # seq -> (wave, monotonic ns at sending)
        self.rtts_ms: list[float] = []
        self.rtts_first_ms: list[float] = []
        self.fault: tuple[str, str] | None = None
        self.kernel_refused = False
        self.went_out = False
        self.settled = asyncio.Event()

    def start(self, seq: int) -> None:
        self.sent += 1
        self.sent_first += self.wave == 0
        self.open[seq] = (self.wave, time.monotonic_ns())
        self.settled.clear()

    def answer(self, seq: int, now_ns: int) -> None:
        wave, sent_ns = self.open.pop(seq)
        rtt_ms = (now_ns - sent_ns) / 1e6
        self.rtts_ms.append(rtt_ms)
        if wave == 0:
            self.rtts_first_ms.append(rtt_ms)
        self._settle()

    def refuse(self, seq: int, fault: tuple[str, str]) -> None:
        del self.open[seq]
        self.fault = fault
        self._settle()

    def _settle(self) -> None:
        # A second wave was for nothing when the whole of the first is answered after all: the line is slow, not lossy.
        if not self.open or self.first_answered:
            self.settled.set()

    @property
    def told(self) -> tuple[str, str] | None:
        """The fault. That the box could not send counts only where no packet went out: else silence is silence."""
        return None if self.fault is not None and self.fault[0] == UNASKED and self.went_out else self.fault

    @property
    def first_answered(self) -> bool:
        return len(self.rtts_first_ms) == self.sent_first


class _Door:
    """One socket and the bursts that use it."""

    def __init__(self, version: int, via: Via) -> None:
        self.version = version
        self.bound = via != ANY
        self.late = 0
        self._socket, self.raw = open_icmp(version, via)
        self._seqs = itertools.count(secrets.randbelow(0x10000))
        self._bursts: dict[int, _Burst] = {}
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    @property
    def idle(self) -> bool:
        return not self._bursts

    def send(self, burst: _Burst, address: str) -> None:
        """Send the burst's next packet; `OSError` where the kernel refuses it."""
        seq = next(self._seqs) & 0xFFFF
        packet = encode_request(self.version, burst.ident, seq, burst.token)
        burst.start(seq)
        self._bursts[seq] = burst
        try:
            try:
                self._socket.sendto(packet, (address, 0))
            except OSError:
                # What is raised here may be an error that came back for another target's packet: take it off the
                # queue, then see what the kernel says of ours.
                self._read_errors()
                self._socket.sendto(packet, (address, 0))
        except OSError:
            del burst.open[seq]
            del self._bursts[seq]
            raise
        burst.went_out = True

    def forget(self, burst: _Burst) -> None:
        for seq in burst.open:
            if self._bursts.get(seq) is burst:
                del self._bursts[seq]

    def _read(self) -> None:
        self._read_errors()
        with suppress(BlockingIOError):
            for _ in range(_BATCH):
                try:
                    packet = self._socket.recv(512)
                except OSError as error:
                    if isinstance(error, BlockingIOError):
                        raise
                    continue  # an error of an earlier packet, which stands on the error queue too
                now_ns = time.monotonic_ns()
                echo = decode_reply(self.version, packet, ip_header=self.raw and self.version == 4)
                if echo is not None:
                    self._take_reply(echo, now_ns)

    def _take_reply(self, echo: Echo, now_ns: int) -> None:
        burst = self._burst_of(echo)
        if burst is None or burst.token != echo.token:
            self.late += 1
            return
        del self._bursts[echo.seq]
        burst.answer(echo.seq, now_ns)

    def _read_errors(self) -> None:
        for quoted, code in read_error_queue(self._socket):
            echo = decode_quoted(self.version, quoted)
            burst = self._burst_of(echo) if echo else None
            if echo is None or burst is None or not burst.token.startswith(echo.token):
                continue
            del self._bursts[echo.seq]
            burst.refuse(echo.seq, name_fault(OSError(code, os.strerror(code))))

    def _burst_of(self, echo: Echo) -> _Burst | None:
        burst = self._bursts.get(echo.seq)
        return burst if burst is not None and (not self.raw or burst.ident == echo.ident) else None


class Pinger:
    """Owns the sockets. Use from one event loop; close when done."""

    def __init__(self) -> None:
        self._doors: dict[tuple[int, Via], _Door] = {}
        self._retired: list[_Door] = []
        self._idents = itertools.count(secrets.randbelow(0x10000))

    async def probe(
        self,
        target: str,
        address: str,
        *,
        rule: BurstRule | None = None,
        timeout_s: float = 1.0,
        via: Via = ANY,
    ) -> ProbeResult:
        """Ping `address` (an IP address, `%scope` allowed) with a burst. Never raises; at most `timeout_s` long."""
        rule = rule or BurstRule()
        started_ns = time.monotonic_ns()
        try:
            version = ipaddress.ip_address(address).version
            door = self._door(version, via)
        except (OSError, UnavailableError, ValueError) as error:
            reason, detail = name_fault(error) if isinstance(error, OSError) else (UNASKED, str(error))
            return failed(target, started_ns, reason, detail)
        burst = _Burst(next(self._idents) & 0xFFFF)
        try:
            await self._run(door, burst, address, rule, timeout_s)
        finally:
            door.forget(burst)
            self._retire(door, burst)
        now_ns = time.monotonic_ns()
        # Where the first wave made the success its loss is the line's: packets sent because others were lost, or were
        # slow, would bend the figure.
        first = len(burst.rtts_first_ms) >= rule.needed
        return judge(
            target,
            mono_ns=now_ns,
            duration_ms=(now_ns - started_ns) / 1e6,
            sent=burst.sent_first if first else burst.sent,
            rtts_ms=burst.rtts_first_ms if first else burst.rtts_ms,
            needed=rule.needed,
            fault=burst.told,
        )

    def close(self) -> None:
        """Close the sockets."""
        for door in (*self._doors.values(), *self._retired):
            door.close()
        self._doors.clear()
        self._retired.clear()

    @property
    def late(self) -> int:
        """Answers that came too late or were not ours."""
        return sum(door.late for door in self._doors.values())

    @staticmethod
    async def _run(door: _Door, burst: _Burst, address: str, rule: BurstRule, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        begin = last_sent = loop.time()
        waves = [(rule.packets, begin + timeout_s / 2), (rule.again, begin + timeout_s)]
        for wave, (packets, until) in enumerate(waves):
            burst.wave = wave
            for index in range(packets):
                if index:
                    await asyncio.sleep(rule.spacing_ms / 1000)
                if wave and burst.first_answered:
                    break
                last_sent = loop.time()
                try:
                    door.send(burst, address)
                except OSError as error:
                    burst.fault = name_fault(error)
                    burst.kernel_refused = True
                    if not burst.open:
                        return
            await _wait(burst.settled, until)
            if burst.rtts_ms:
                # Some answered: the rest may be as slow as that and more, but what is not there by then is lost.
                grace_s = max(burst.rtts_ms) * _LATE_FACTOR / 1000
                await _wait(burst.settled, min(begin + timeout_s, last_sent + grace_s))
            # Routers send few errors a second: one that came back, and no answer, speaks for the whole burst.
            if len(burst.rtts_ms) >= rule.needed or (burst.fault and not burst.rtts_ms):
                return

    def _retire(self, door: _Door, burst: _Burst) -> None:
        """A socket stays bound to a port that was unplugged and to an address that is gone: open a new one then."""
        if burst.kernel_refused and door.bound:
            for key in [key for key, value in self._doors.items() if value is door]:
                self._retired.append(self._doors.pop(key))
        for retired in [retired for retired in self._retired if retired.idle]:
            self._retired.remove(retired)
            retired.close()

    def _door(self, version: int, via: Via) -> _Door:
        door = self._doors.get((version, via))
        if door is None:
            door = self._doors[version, via] = _Door(version, via)
        return door


async def _wait(event: asyncio.Event, until: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            await event.wait()

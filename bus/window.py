"""How many bytes of backlog may be on their way to the hub: a window that follows the receipts' round trip.

Everything a device sends shares one line and one hub with its own live entries, so what waits in front of them is the
window. It grows while receipts come back quickly (by what was receipted until the first sign of a queue, then by about
one batch a round trip) and shrinks when the round trip says that a queue has formed, or when a batch is lost: additive
increase, multiplicative decrease (RFC 5681, 3.1), with delay as a signal beside loss (as RFC 6817 has it). Pure.
"""

from dataclasses import dataclass
from typing import Final

FLOOR_BYTES: Final = 32 * 1024
CEILING_BYTES: Final = 2 * 1024 * 1024
BATCH_BYTES: Final = 64 * 1024
BATCH_FLOOR_BYTES: Final = 16 * 1024  # below it the cost of each batch is all in its envelope and transaction
_TARGET_MS: Final = 400.0  # a queue this long still leaves live entries far below their 2 s
_SIGN_MS: Final = 20.0
_LATE_LEAST: Final = 0.3
_LATE_MOST: Final = 0.9
_LOST: Final = 0.5
_SMOOTH: Final = 0.125  # RFC 6298, 2.3
_AGEING_MS: Final = 600_000.0  # a line that has become slower is believed after some minutes
_QUEUE_MS: Final = 300.0


@dataclass(slots=True)
class Window:
    """`bytes` is the window. Round trips are those of batches sent once (Karn's rule); the caller sees to it."""

    bytes: float = float(BATCH_BYTES)
    rtt_ms: float = 0.0
    least_ms: float = 0.0
    _slow_start: bool = True
    _cut_ms: float = float("-inf")
    _heard_ms: float = 0.0

    @property
    def batch_bytes(self) -> int:
        """What one batch should hold: half the window, so that a slow line is not taken for long by one."""
        return int(min(BATCH_BYTES, max(BATCH_FLOOR_BYTES, self.bytes / 2)))

    def receipted(self, count: int, rtt_ms: float, now_ms: float) -> None:
        """`count` bytes came back after `rtt_ms`."""
        self.rtt_ms += (rtt_ms - self.rtt_ms) * (_SMOOTH if self.rtt_ms else 1.0)
        aged = self.least_ms * (1 + max(0.0, now_ms - self._heard_ms) / _AGEING_MS)
        self.least_ms = min(aged or rtt_ms, rtt_ms)
        self._heard_ms = now_ms
        if rtt_ms > 2 * self.least_ms + _SIGN_MS:
            self._slow_start = False  # a queue begins: no more doubling (as in RFC 9406)
        target_ms = max(_TARGET_MS, self.least_ms + _QUEUE_MS)
        if rtt_ms > target_ms:
            # By how much it is late says how much of the window only waits.
            self._shrink(min(_LATE_MOST, max(_LATE_LEAST, target_ms / rtt_ms)), now_ms - rtt_ms, now_ms)
            return
        grown = count if self._slow_start else BATCH_BYTES * count / self.bytes
        self.bytes = min(CEILING_BYTES, self.bytes + grown)

    def lost(self, now_ms: float) -> None:
        """A batch had no receipt in time."""
        self._shrink(_LOST, now_ms - self.rtt_ms, now_ms)

    def _shrink(self, factor: float, sent_ms: float, now_ms: float) -> None:
        self._slow_start = False
        if sent_ms >= self._cut_ms:  # what was sent before the last cut only tells of the same queue again
            self._cut_ms = now_ms
            self.bytes = max(FLOOR_BYTES, self.bytes * factor)

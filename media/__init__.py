"""Sound out, decoding, and text to speech.

An output takes signed 16-bit mono PCM at its own rate and plays it at once; what played before is cut off, since the
newest prompt is the one that matters. It never blocks its caller.
"""

from typing import Protocol


class Output(Protocol):
    """Where sound goes."""

    @property
    def rate_hz(self) -> int:
        """Samples a second that `play` wants."""

    @property
    def alive(self) -> bool:
        """False once it can play no more and must be opened anew."""

    def play(self, pcm: bytes) -> None:
        """Play from now on, instead of what is playing. Returns at once."""

    def stop(self) -> None:
        """Be silent."""

    def close(self) -> None:
        """Give the device back."""


__all__ = ["Output"]

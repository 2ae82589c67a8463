"""The certificate that this box shows to its broker: how many days it has left."""

from pathlib import Path
from typing import Final

from bus.errors import UnavailableError

_DAY_MS: Final = 86_400_000


def days_left(path: Path, now_ms: int) -> float:
    """Of the first certificate in the PEM file, below 0 once it has ended; `UnavailableError` where there is none."""
    from cryptography import x509  # late: it costs 2 MB that only a box with TLS needs

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UnavailableError(f"certificate {path} cannot be read: {error}") from error
    return (certificate.not_valid_after_utc.timestamp() * 1000 - now_ms) / _DAY_MS

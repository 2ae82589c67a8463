"""TLS as our servers speak it; a client's side is where its library wants it (`bus.mqtt`, `hub.export`).

TLS 1.2 or later, with the ciphers of the system's OpenSSL. Where an authority is named, whoever comes must show a
certificate of it: without one the handshake fails, before a byte of a request is read.
"""

import ssl

from bus.config import ServerTlsConfig
from bus.errors import WrongInputError


def server_context(tls: ServerTlsConfig) -> ssl.SSLContext:
    """Ready to serve; `WrongInputError` where a file cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise WrongInputError(f"certificate {tls.cert} with key {tls.key} cannot be used: {error}") from error
    if tls.ca:
        try:
            context.load_verify_locations(tls.ca)
        except (OSError, ValueError) as error:
            raise WrongInputError(f"authority {tls.ca} cannot be used: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context

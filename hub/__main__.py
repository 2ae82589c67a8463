"""`commune hub --config FILE.toml [--check]`: one hub of the province, in the foreground."""

import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from bus.config import TlsConfig
from bus.errors import WrongInputError
from bus.part import Part, StopOn, every, run_part
from hub.config import HubConfig, load


def main(argv: Sequence[str] | None = None) -> int:
    """Run the hub; returns the exit code."""
    about = "The province: takes in, stores and shows."
    return run_part(Part("hub", about, HubConfig, _run, read=load, check=_check), argv)


def _run(config: HubConfig, stop_on: StopOn) -> None:
    from hub.service import run_hub  # late: --check needs none of it

    run_hub(config, stop_on)


def _check(config: HubConfig) -> None:
    from bus.envelope import SigningKey
    from bus.tls import server_context
    from hub.database import Database
    from hub.export import read_token, trust_of
    from hub.roster import Roster

    broker, write, served = config.broker.tls, config.remote_write, config.http.tls
    every(
        lambda: Roster.load(Path(config.roster)),
        lambda: SigningKey.load(Path(config.key)),
        lambda: Database(config.store).close(),
        lambda: served and server_context(served),
        lambda: broker and _client_context(broker),
        lambda: write and trust_of(write),
        lambda: write and write.token and read_token(write),
    )


def _client_context(tls: TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(tls.ca)
        context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise WrongInputError(f"broker.tls: {tls.ca}, {tls.cert}, {tls.key} cannot be used: {error}") from error
    return context


if __name__ == "__main__":
    sys.exit(main())

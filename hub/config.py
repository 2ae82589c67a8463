"""What a hub's configuration file holds. Paths are taken from the file's own folder."""

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct, structs

from bus import config
from bus.config import BrokerConfig, Days, ServerTlsConfig, TlsConfig
from bus.identifiers import DeviceId

_SQLITE: Final = "sqlite:///"

_URL: Final = re.compile(r"https?://[!-~]+")

Seconds = Annotated[int, Meta(ge=1, le=86_400)]


class HttpConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The API and the pages. `token` is the file of the bearer tokens; `users` the file of who may sign in."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    token: str = "hub.token"  # noqa: S105 - a file name
    users: str = ""
    tls: ServerTlsConfig | None = None


class RemoteWriteConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A store that takes Prometheus remote write 1.0. `token` is a file with a bearer token, where it wants one.

    `ca` is the authority that its certificate is checked by, in the place of the system's; `cert` and `key` are ours.
    """

    url: Annotated[str, Meta(pattern=r"^https?://[^\s/]+")]
    token: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    blocks: Annotated[int, Meta(ge=1, le=5_000)] = 200  # sample blocks a request
    timeout_s: Seconds = 30

    def __post_init__(self) -> None:
        if bool(self.cert) != bool(self.key):
            raise ValueError("cert and key belong together: give both or neither")
        try:
            parts = urlsplit(self.url)
            named = bool(parts.hostname) and parts.port != 0
            self.url.encode("ascii")
        except ValueError as error:  # UnicodeEncodeError is one
            raise ValueError(f"url {self.url!r} is none: {error}") from error
        if not named or not _URL.fullmatch(self.url):
            raise ValueError(f"url {self.url!r} is none: http://HOST:PORT/PATH wanted, in printable ASCII")


class KeepConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How long the store keeps what is bulky. Other records stay for ever."""

    sample_days: Days = 14
    minute_days: Days = 400


class RatingsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be published of ratings (docs/ratings.md). `least_n`: no figure stands for fewer votes. `small_n`: one
    of fewer is marked as of a small sample, and a commune with fewer is not ranked.
    """

    least_n: Annotated[int, Meta(ge=1, le=1000)] = 5
    small_n: Annotated[int, Meta(ge=1, le=100_000)] = 30


RATINGS: Final = RatingsConfig()


class HubConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One hub. `store` is a SQLAlchemy URL; several hubs may share one PostgreSQL store.

    `beacon_s`: how often the hub says that it is there. Each costs a commune's line 350 bytes, 3 MiB a day at 10 s, and
    a device waits up to one interval before it sends what it holds. `silent_after_s`: an agent not heard for so long is
    silent, whatever it said last.
    """

    id: DeviceId = "hub"
    roster: str = "roster.toml"
    key: str = "hub.pem"
    store: str = "sqlite:///hub.db"
    broker: BrokerConfig = BrokerConfig()
    http: HttpConfig = HttpConfig()
    remote_write: RemoteWriteConfig | None = None
    keep: KeepConfig = KeepConfig()
    ratings: RatingsConfig = RatingsConfig()
    beacon_s: Annotated[int, Meta(ge=1, le=60)] = 10
    silent_after_s: Annotated[int, Meta(ge=5, le=86_400)] = 90


def load(path: Path) -> HubConfig:
    """Read the file at `path`, its paths made absolute; `bus.config.ConfigError` with every mistake in it."""
    read = config.load(path, HubConfig)
    folder = path.resolve().parent

    def at(name: str) -> str:
        return str(folder / name) if name else ""

    http, write, broker = read.http, read.remote_write, read.broker
    store = read.store
    if store.startswith(_SQLITE) and not store.startswith(_SQLITE + "/") and store != _SQLITE:
        store = _SQLITE + at(store.removeprefix(_SQLITE))
    if broker.tls is not None:
        tls = TlsConfig(at(broker.tls.ca), at(broker.tls.cert), at(broker.tls.key))
        broker = structs.replace(broker, tls=tls)
    served = http.tls
    if served is not None:
        served = ServerTlsConfig(at(served.cert), at(served.key), at(served.ca))
    if write is not None:
        write = structs.replace(write, token=at(write.token), ca=at(write.ca), cert=at(write.cert), key=at(write.key))
    return structs.replace(
        read,
        roster=at(read.roster),
        key=at(read.key),
        store=store,
        broker=broker,
        http=structs.replace(http, token=at(http.token), users=at(http.users), tls=served),
        remote_write=write,
    )

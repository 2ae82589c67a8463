"""TLS files that cannot be used are said by name, before anything listens."""

from pathlib import Path

import pytest

from bus.config import ServerTlsConfig
from bus.errors import WrongInputError
from bus.tls import server_context
from tests.bus.certificates import Authority


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.issue("one"), authority.issue("other")
    (tmp_path / "noise").write_bytes(b"\x00noise")
    noise, absent = str(tmp_path / "noise"), str(tmp_path / "absent")
    server_context(ServerTlsConfig(one.cert, one.key, one.ca))
    for cert, key, ca, named in (
        (absent, one.key, "", absent),
        (one.cert, absent, "", absent),
        (noise, one.key, "", noise),
        (one.cert, other.key, "", other.key),
        (one.cert, one.key, absent, absent),
        (one.cert, one.key, noise, noise),
    ):
        with pytest.raises(WrongInputError, match=named):
            server_context(ServerTlsConfig(cert, key, ca))

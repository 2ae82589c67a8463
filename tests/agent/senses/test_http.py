import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.senses.http import probe_http
from agent.senses.resolver import Resolver

NOW = datetime.now(UTC)
RESOLVER = Resolver([])


class Authority:
    """An authority of our own, and the certificates it gives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        usage = x509.KeyUsage(*(False,) * 5, True, True, *(False,) * 2)  # signs certificates and lists
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = self._builder(self._name, self._key, NOW - timedelta(days=400), NOW + timedelta(days=400))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = builder.add_extension(usage, critical=True).add_extension(identifier, critical=False)
        self.path = folder / "ca.pem"
        self.path.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, since: datetime, until: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
        )

    def context(self, *, days: float, since_days: float = -100, address: str = "127.0.0.1") -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service")])
        builder = self._builder(name, key, NOW + timedelta(days=since_days), NOW + timedelta(days=days))
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(names, critical=False).add_extension(issuer, critical=False)
        path = self._folder / f"service-{days}-{since_days}-{address}.pem"
        path.write_bytes(
            builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def serving(answer: bytes, context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[bytes]]]:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    scheme = "https" if context else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()
        await server.wait_closed()


async def test_a_service_that_answers_is_well_and_is_asked_for_the_right_page() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\n\r\nhello") as (url, heads):
        result = await probe_http("portal", f"{url}/mot-cua?x=1", resolver=RESOLVER)
    assert (result.success, result.http_status, result.certificate_days) == (True, 200, None)
    assert heads[0].startswith(b"GET /mot-cua?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(("status", "well"), [(200, True), (302, True), (404, False), (503, False)])
async def test_the_status_decides(status: int, well: bool) -> None:
    async with serving(f"HTTP/1.0 {status} Whatever\r\n\r\n".encode()) as (url, _):
        result = await probe_http("portal", url, resolver=RESOLVER)
        narrow = await probe_http("portal", url, resolver=RESOLVER, ok_statuses=(503, 503))
    assert (result.success, result.reason, result.http_status) == (well, "" if well else "http-status", status)
    assert narrow.success == (status == 503)


async def test_the_days_of_a_good_certificate_are_told(authority: Authority) -> None:
    async with serving(b"HTTP/1.1 204 No Content\r\n\r\n", authority.context(days=20)) as (url, _):
        result = await probe_http("portal", url, resolver=RESOLVER, ca_file=str(authority.path))
    assert result.success
    assert result.certificate_days == pytest.approx(20, abs=0.1)


async def test_an_expired_certificate_is_told_apart_with_its_days(authority: Authority) -> None:
    async with serving(b"HTTP/1.1 200 OK\r\n\r\n", authority.context(days=-3)) as (url, heads):
        result = await probe_http("portal", url, resolver=RESOLVER, ca_file=str(authority.path))
    assert (result.success, result.reason) == (False, "expired-certificate")
    assert result.certificate_days == pytest.approx(-3, abs=0.1)
    assert heads == [], "nothing is asked of a service that is not trusted"


async def test_what_else_is_wrong_with_a_certificate_is_bad(authority: Authority, tmp_path: Path) -> None:
    context = authority.context(days=20)
    async with serving(b"HTTP/1.1 200 OK\r\n\r\n", context) as (url, _):
        unknown = await probe_http("portal", url, resolver=RESOLVER)
        name = await probe_http("portal", url.replace("127.0.0.1", "127.0.0.2"), resolver=RESOLVER)
    assert (unknown.success, unknown.reason) == (False, "bad-certificate")
    assert unknown.certificate_days == pytest.approx(20, abs=0.1)
    assert not name.success
    async with serving(b"", authority.context(days=20, address="192.0.2.7")) as (url, _):
        name = await probe_http("portal", url, resolver=RESOLVER, ca_file=str(authority.path))
    assert (name.success, name.reason) == (False, "bad-certificate")
    assert "mismatch" in name.detail
    async with serving(b"", authority.context(days=20, since_days=5)) as (url, _):
        early = await probe_http("portal", url, resolver=RESOLVER, ca_file=str(authority.path))
    assert (early.success, early.reason) == (False, "bad-certificate")
    assert "the clock of this box says" in early.detail


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n", b"", b"x" * 100_000, b"HTTP/1.1 2"]
)
async def test_what_is_no_http_is_a_bad_answer(answer: bytes) -> None:
    async with serving(answer) as (url, _):
        result = await probe_http("portal", url, resolver=RESOLVER)
    assert (result.success, result.reason) == (False, "bad-answer")


async def test_plain_text_where_tls_was_wanted_is_a_bad_answer() -> None:
    async with serving(b"HTTP/1.1 400 Bad\r\n\r\n") as (url, _):
        result = await probe_http("portal", url.replace("http:", "https:"), resolver=RESOLVER, timeout_s=1)
    assert (result.success, result.reason) in [(False, "bad-answer"), (False, "timeout")]


async def test_a_service_that_accepts_and_says_nothing_is_a_timeout() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    result = await probe_http("portal", url, resolver=RESOLVER, timeout_s=0.2)
    server.close()
    await server.wait_closed()
    assert (result.success, result.reason) == (False, "timeout")


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "nonsense"])
async def test_what_is_no_address_is_an_error(url: str) -> None:
    result = await probe_http("portal", url, resolver=RESOLVER)
    assert (result.success, result.reason) == (False, "error")


async def test_a_name_that_nobody_knows_is_told_apart(tmp_path: Path) -> None:
    resolver = Resolver([], hosts=tmp_path / "none")
    result = await probe_http("portal", "http://nobody.vn/", resolver=resolver)
    assert (result.success, result.reason) == (False, "no-name")


async def test_a_closed_port_refuses() -> None:
    async with serving(b"") as (url, _):
        pass
    result = await probe_http("portal", url, resolver=RESOLVER)
    assert (result.success, result.reason) == (False, "refused")

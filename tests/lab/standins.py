"""What answers in the lab: a name server, web services, the hub's port, a UPS daemon. Runs inside a namespace.

One process a namespace. It is told what to do by lines on standard input (`dns off`, `web 302`, `service 503`,
`tls expired`, `hub off`, `ups OB`), answers each with `ok` on standard output, and ends with its input.
"""

import contextlib
import http.server
import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Set = Callable[[str], None]


def serve_dns(address: str) -> Set:
    """Answers every A question with 192.0.2.7; `off` closes the socket, so that the port refuses."""
    held: dict[str, socket.socket] = {}

    def answer(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                query, peer = sock.recvfrom(1500)
                if len(query) < 17:
                    continue
                end = query.index(b"\0", 12) + 5
                record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 7])
                with contextlib.suppress(OSError):  # the line was cut since the question came
                    sock.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] + record, peer)

    def switch(word: str) -> None:
        if "socket" in held:
            with contextlib.suppress(OSError):
                held["socket"].shutdown(socket.SHUT_RDWR)
            held.pop("socket").close()
        if word == "on":
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((address, 53))
            held["socket"] = sock
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    switch("on")
    return switch


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a probe that hung up, or that did not like the certificate


def serve_web(address: str, status: str, tls: dict[str, ssl.SSLContext] | None = None) -> Set:
    """A web server with one status for all; over TLS the word also chooses the certificate."""
    state = {"status": status}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(state["status"]))
            self.send_header("Content-Length", "0")
            self.send_header("Location", "http://203.0.113.80/sign-in")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = Server((address, 443 if tls else 80), Handler)
    if tls is not None:
        state["tls"] = "good"
        contexts = tls

        class Shaking(Server):
            def finish_request(self, request: Any, client_address: Any) -> None:
                request.settimeout(5)
                with contexts[state["tls"]].wrap_socket(request, server_side=True) as wrapped:
                    super().finish_request(wrapped, client_address)

        server.server_close()
        server = Shaking((address, 443), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def switch(word: str) -> None:
        if word.isdigit():
            state["status"] = word
        else:
            state["tls"] = word

    return switch


def serve_tcp(address: str, port: int) -> Set:
    """Accepts connections; `off` stops listening."""
    held: dict[str, socketserver.TCPServer] = {}

    class Quiet(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.recv(1)

    def switch(word: str) -> None:
        if "server" in held:
            server = held.pop("server")
            server.shutdown()
            server.server_close()
        if word == "on":
            socketserver.ThreadingTCPServer.allow_reuse_address = True
            held["server"] = server = socketserver.ThreadingTCPServer((address, port), Quiet)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    switch("on")
    return switch


def serve_ups(address: str) -> Set:
    """As NUT's upsd: one UPS `ups`, whose status is the word."""
    state = {"status": "OL"}

    class Speaker(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                words = line.decode().split()
                if words[:2] == ["LIST", "VAR"]:
                    said = f'VAR ups ups.status "{state["status"]}"\nVAR ups battery.charge "80"\n'
                    self.wfile.write(f"BEGIN LIST VAR ups\n{said}END LIST VAR ups\n".encode())
                elif words[:1] == ["LOGOUT"]:
                    self.wfile.write(b"OK Goodbye\n")
                    return

    server = socketserver.ThreadingTCPServer((address, 3493), Speaker)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def switch(word: str) -> None:
        state["status"] = word

    return switch


def load_contexts(folder: Path) -> dict[str, ssl.SSLContext]:
    made = {}
    for name in ("good", "expired"):
        made[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made[name].load_cert_chain(folder / f"{name}.pem")
    return made


def main() -> None:
    role, folder = sys.argv[1], Path(sys.argv[2])
    switches: dict[str, Set] = {}
    if role == "provider":
        switches["dns"] = serve_dns("203.0.113.53")
        switches["web"] = serve_web("203.0.113.204", "204")
        switches["portal"] = serve_web("203.0.113.80", "200")
        switches["tls"] = serve_web("203.0.113.44", "200", load_contexts(folder))
    elif role == "province":
        switches["hub"] = serve_tcp("10.202.0.2", 8883)
        switches["service"] = serve_web("10.202.0.3", "200")
    elif role == "box":
        switches["ups"] = serve_ups("127.0.0.1")
    print("ready", flush=True)
    for line in sys.stdin:
        name, word = line.split()
        switches[name](word)
        print("ok", flush=True)


if __name__ == "__main__":
    main()

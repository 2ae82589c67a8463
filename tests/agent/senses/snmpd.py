"""A real snmpd that says what the tests want to hear, on a free loopback port."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIGHT = "1.3.6.1.4.1.2011.6.128.1.1.2.51.1.4.1"  # where one maker's ONTs keep received light, in 0.01 dBm
TEXT = "1.3.6.1.4.1.3902.1"
MISSING = "1.3.6.1.4.1.2011.9.9.9"
UP, DOWN, ABSENT = 7, 8, 9

CONFIG = f"""
agentaddress udp:127.0.0.1:{{port}}
rocommunity commune
createUser watcher SHA-256 "watcher-secret" AES "watcher-private"
rouser watcher priv
override {LIGHT} integer -2350
override {TEXT} octet_str "-21.70 dBm"
override {TEXT}.9 octet_str "none"
override {TEXT}.8 integer 2147483647
override 1.3.6.1.2.1.2.2.1.8.{UP} integer 1
override 1.3.6.1.2.1.31.1.1.1.15.{UP} uinteger 1000
override 1.3.6.1.2.1.2.2.1.14.{UP} counter 12
override 1.3.6.1.2.1.2.2.1.8.{DOWN} integer 2
"""


@contextmanager
def snmpd_in(folder: Path) -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "snmpd.conf"
    config.write_text(CONFIG.format(port=port))
    command = ["snmpd", "-f", "-Lo", "-C", "-c", str(config), "-p", str(folder / "pid")]
    process = subprocess.Popen(
        command, env={"SNMP_PERSISTENT_DIR": str(folder), "PATH": "/usr/sbin:/usr/bin"}, stdout=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 20
        probe = ["snmpget", "-v2c", "-c", "commune", "-t", "0.2", "-r", "0", "-On", f"127.0.0.1:{port}", f".{LIGHT}"]
        while subprocess.run(probe, capture_output=True, check=False).returncode:
            assert process.poll() is None, "snmpd ended"
            assert time.monotonic() < until, "snmpd does not answer"
        yield port
    finally:
        process.terminate()
        process.wait(10)

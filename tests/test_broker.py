"""The fixtures themselves: a broker that is not what it claims would make other tests lie."""

import socket
from collections.abc import Callable

import pytest

from tests.broker import Broker
from tests.tools import find_tool


def accepts(broker: Broker) -> bool:
    try:
        socket.create_connection((broker.host, broker.port), timeout=2).close()
    except ConnectionRefusedError:
        return False
    return True


def test_killed_broker_is_gone_and_comes_back_on_its_port(new_broker: Callable[[], Broker]) -> None:
    broker = new_broker()
    port = broker.port
    assert accepts(broker)
    broker.kill()
    assert not accepts(broker)
    broker.start()
    assert accepts(broker)
    assert broker.port == port


def test_two_brokers_have_two_ports(broker: Broker, new_broker: Callable[[], Broker]) -> None:
    assert broker.port != new_broker().port


def test_missing_tool_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"scripts/install\.sh"):
        find_tool("no-such-tool")

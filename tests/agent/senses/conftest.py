from collections.abc import Iterator

import pytest

from tests.agent.senses.netlab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A box and a peer; the test runs inside the box."""
    made = Lab()
    try:
        with made.box.inside():
            yield made
    finally:
        made.close()

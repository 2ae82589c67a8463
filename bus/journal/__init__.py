"""The journal: what a part knows is on disk here before anyone is told (design decisions 1 to 5).

docs/decisions/0001-journal-store.md says why it is segments of checksummed frames, 0002 why each open starts an epoch.
"""

from bus.journal.frame import ENTRY_LIMIT, NO_CHAIN, link
from bus.journal.journal import Journal
from bus.journal.views import Chunk, Counters, EpochView, Key, ReceiptEffect

__all__ = ["ENTRY_LIMIT", "NO_CHAIN", "Chunk", "Counters", "EpochView", "Journal", "Key", "ReceiptEffect", "link"]

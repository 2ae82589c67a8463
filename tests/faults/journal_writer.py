"""A process that appends to a journal and says on stdout what was acknowledged, one line each. Killed by the tests.

    journal_writer.py FOLDER NAME THREADS LIMIT PAUSE_MS

A line is `<text>`, written in one call after the append returned; texts are `<name>.<thread>.<number>`, numbered
without a hole by each thread. A refused append is said as `!<text>`, and the next number follows.
"""

import os
import sys
import threading
import time
from pathlib import Path

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.entries import EventNoted, SampleBlock
from bus.errors import UnavailableError
from bus.journal import Journal, disk


def stamp() -> Stamp:
    return Stamp("b" * 32, time.monotonic_ns(), time.time_ns() // 1_000_000, Quality.TRUSTED)


def main() -> None:
    folder, name, threads, limit, pause_ms = sys.argv[1:]
    if os.environ.get("JOURNAL_WRITER_SYNCS") == "no":
        disk.sync = lambda descriptor: None
    journal = Journal(Path(folder), stamp=stamp, config=JournalConfig(), segment_bytes=16_384)
    os.write(1, b"open\n")

    def append(thread: int) -> None:
        for number in range(int(limit)):
            text = f"{name}.{thread}.{number}"
            if number % 10 == 0:
                journal.append(SampleBlock(number, 1000, {"x": [1.0]}))
            try:
                journal.append(EventNoted(text, "x" * (number * 37 % 400))).result(30)
                os.write(1, f"{text}\n".encode())
            except UnavailableError:
                os.write(1, f"!{text}\n".encode())
            time.sleep(int(pause_ms) / 1000)

    workers = [threading.Thread(target=append, args=(thread,)) for thread in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    journal.close()


if __name__ == "__main__":
    main()

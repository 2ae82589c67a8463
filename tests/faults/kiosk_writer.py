"""A kiosk at work on a disk, for power cuts: `python -m tests.faults.kiosk_writer FOLDER LINE SEED`.

A simulated panel on a pty at LINE is pressed without pause. Each press whose acknowledgement the panel has had is said
on standard output, at once.
"""

import asyncio
import random
import sys
from pathlib import Path

from kiosk.panel.bench import PanelBench
from kiosk.panel.desk import Panels
from tests.kiosk.bench import BoothBench, until


async def work(folder: Path, line: Path, seed: int) -> None:
    chance = random.Random(seed)
    kiosk = BoothBench(folder)
    panel = PanelBench(line, panel="P-CUT", buttons=5)
    async with asyncio.TaskGroup() as group:
        group.create_task(panel.run())
        await asyncio.sleep(0.05)
        panels = Panels([(str(line), 115_200)], kiosk.booth)
        group.create_task(panels.run())
        await until(lambda: panels.desks[0].present)
        said: set[int] = set()
        while True:
            panel.press(chance.randint(1, 5))
            await asyncio.sleep(chance.random() * 0.004)
            waiting = {one.seq for one in panel.state.waiting}
            for seq in sorted(set(range(1, panel.state.last_seq + 1)) - waiting - said):
                said.add(seq)
                print(f"P-CUT/{panel.state.boot}/{seq}", flush=True)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(exist_ok=True)
    asyncio.run(work(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))

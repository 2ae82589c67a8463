"""The power fails while citizens press: what lit the panel up is on the card, once, and the next start knows it."""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kiosk.panel.session import Known
from tests.evidence import rounds
from tests.faults.disk_image import copy_as_cut, make_disk, mounted, repair
from tests.kiosk.bench import BoothBench, presses

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]


def _cut(folder: Path, chance: random.Random) -> int:
    """One cut; returns how many presses had lit the panel up."""
    image, copy, said_to = folder / "image", folder / "copy", folder / "said"
    make_disk(image)
    with mounted(image, folder / "disk") as disk, said_to.open("wb") as said:
        words = [str(disk / "kiosk"), str(folder / "line"), str(chance.randrange(1_000_000))]
        argv = [sys.executable, "-m", "tests.faults.kiosk_writer", *words]
        writer = subprocess.Popen(argv, stdout=said, stderr=subprocess.PIPE)
        try:
            end = time.monotonic() + 30
            while said_to.stat().st_size < 60:
                assert writer.poll() is None, writer.communicate()[1].decode()
                assert time.monotonic() < end
                time.sleep(0.01)
            time.sleep(chance.random() * 0.3)
            writer.send_signal(signal.SIGSTOP)
            told = [line for line in said_to.read_text().splitlines(keepends=True) if line.endswith("\n")]
            copy_as_cut(image, copy)
        finally:
            writer.kill()
            writer.communicate()
    repair(copy)
    with mounted(copy, folder / "restored") as restored:
        kiosk = BoothBench(restored / "kiosk")
        held = [press.press for press in presses(kiosk.journal)]
        known = [kiosk.booth.box.known(press.strip()) for press in told]
        kiosk.close()
    assert {press.strip() for press in told} <= set(held), "lit up, and lost"
    assert len(held) == len(set(held)), "doubled"
    assert set(known) <= {Known.DURABLE}, "the next start would take it again"
    return len(told)


def test_power_cuts_at_the_counter(tmp_path: Path, evidence: Callable[[str], None]) -> None:
    chance = random.Random(766)
    cuts = rounds(small=3, full=200)
    told = 0
    for number in range(cuts):
        folder = tmp_path / str(number)
        folder.mkdir()
        told += _cut(folder, chance)
        shutil.rmtree(folder)
    evidence(f"kiosk: {cuts} power-cut images, {told:,} presses had lit it up: 0 lost, 0 doubled, all known again")

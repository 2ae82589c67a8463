"""`commune kiosk --check`: every mistake with its key and line, all of them at once, and the exit codes."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kiosk.config import KioskFile
from kiosk.panel.frames import FrameReader, decode_from_panel, decode_to_panel

ROOT = Path(__file__).parents[2]

GOOD = """
[device]
site = "s0001"
id = "s0001-kiosk-1"
key = "kiosk.pem"
hub_keys = ["hub.pub"]
"""


def check(folder: Path, text: str, *more: str) -> "subprocess.CompletedProcess[str]":
    file = folder / "kiosk.toml"
    file.write_text(text)
    argv = [sys.executable, "-m", "kiosk", "--config", str(file), "--check", *more]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)


def mistakes(folder: Path, text: str) -> list[dict[str, Any]]:
    checked = check(folder, text, "--json")
    assert checked.returncode == 2, checked.stdout + checked.stderr
    found: list[dict[str, Any]] = json.loads(checked.stdout)["mistakes"]
    return found


def test_a_good_file_is_ok(tmp_path: Path) -> None:
    checked = check(tmp_path, GOOD)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.endswith("kiosk.toml: OK\n")


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ('[[panel]]\npath = ""', "panel.0.path"),
        ('[[panel]]\npath = "/dev/x"\nbaud = 300', "panel.0.baud"),
        ('[[keypad]]\npath = "/dev/x"\nkeys = [79, 79, 80]', "keypad.0"),
        ('[[keypad]]\npath = "/dev/x"\nkeys = [79, 80]', "keypad.0"),
        ("[page]\nport = 70000", "page.port"),
        ('[page]\nenabled = "yes"', "page.enabled"),
        ("[screen]\nconsole = 1", "screen"),
        ("[sound]\nloud = true", "sound"),
        ("[settings]\nlevels = 6", "settings.levels"),
        ("[settings]\nthanks_s = 0.1", "settings.thanks_s"),
        ('[settings]\nlanguages = ["en"]', "settings"),
        ("[settings]\nreasons_from = 1", "settings"),
        ('[[settings.hours]]\ndays = [1, 8]\nopens = "07:00"\ncloses = "11:30"', "settings.hours.0.days"),
        ('[[settings.hours]]\ndays = [1]\nopens = "17:00"\ncloses = "07:00"', "settings.hours.0"),
        ('[[settings.hours]]\ndays = [1]\nopens = "7:00"\ncloses = "11:30"', "settings.hours.0.opens"),
        ('[[settings.volumes]]\nstart = "06:00"\nvolume_pct = 101', "settings.volumes.0.volume_pct"),
        ('[settings_from]\n"not a device" = "key.pub"', "settings_from"),
    ],
)
def test_each_mistake_has_its_key_and_line(tmp_path: Path, section: str, key: str) -> None:
    found = mistakes(tmp_path, GOOD + section + "\n")
    assert len(found) == 1, found
    assert found[0]["key"].startswith(key), found
    assert found[0]["line"] >= GOOD.count("\n"), found
    assert found[0]["says"]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = mistakes(tmp_path, GOOD + "[page]\nport = -1\n[settings]\nlevels = 2\nthanks_s = 0\n")
    assert {one["key"] for one in found} >= {"page.port", "settings.levels", "settings.thanks_s"}


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_file_in_the_documents_is_good(tmp_path: Path) -> None:
    (file,) = blocks("kiosk.md", "toml")
    checked = check(tmp_path, file)
    assert checked.returncode == 0, checked.stderr


def test_every_section_of_the_file_is_in_the_documents() -> None:
    (file,) = blocks("kiosk.md", "toml")
    left_out = {"journal", "clock"}  # the same for every part
    assert {name for name in KioskFile.__struct_fields__ if f"[{name}" not in file} == left_out


def test_the_frames_in_the_documents_hold() -> None:
    (frames,) = blocks("panel.md", "text")
    lines = frames.splitlines()
    bodies = list(FrameReader().feed("".join(f"{line}\r\n" for line in lines).encode()))
    assert len(bodies) == len(lines)
    assert all(decode_from_panel(body) or decode_to_panel(body) for body in bodies)


def test_no_file_and_no_toml_are_wrong_input(tmp_path: Path) -> None:
    assert check(tmp_path, "[device").returncode == 2
    argv = [sys.executable, "-m", "kiosk", "--config", str(tmp_path / "none.toml")]
    ended = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "none.toml" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_its_keys_it_does_not_start(tmp_path: Path) -> None:
    file = tmp_path / "kiosk.toml"
    file.write_text(f'{GOOD}[kiosk]\nstate = "{tmp_path}/state"\n')
    argv = [sys.executable, "-m", "kiosk", "--config", str(file)]
    ended = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert ended.returncode in {1, 2}
    assert "kiosk.pem" in ended.stderr
    assert "Traceback" not in ended.stderr

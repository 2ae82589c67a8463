import subprocess
import sys
from pathlib import Path

import pytest

from agent.senses.health import HealthWatch, process_name
from agent.senses.raspberry import read_throttling


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_this_machine_is_read(tmp_path: Path) -> None:
    health = HealthWatch(mounts=("/", "/not/mounted")).read()
    assert 0 <= health.cpu_pct <= 100
    assert 0 < health.memory_available_bytes <= health.memory_total_bytes
    assert health.uptime_s > 0
    assert [disk.mount for disk in health.disks] == ["/"]
    assert 0 < health.disks[0].free_bytes <= health.disks[0].total_bytes


def test_what_a_machine_does_not_have_is_not_invented(tmp_path: Path) -> None:
    health = HealthWatch(sys_root=tmp_path).read()
    assert (health.temperature_c, health.throttling, health.devices) == (None, None, ())


def test_the_hottest_zone_counts_and_a_broken_sensor_does_not(tmp_path: Path) -> None:
    put(tmp_path, "class/thermal/thermal_zone0/temp", "48312\n")
    put(tmp_path, "class/thermal/thermal_zone1/temp", "61000\n")
    put(tmp_path, "class/thermal/thermal_zone2/temp", "-274000\n")
    put(tmp_path, "class/thermal/thermal_zone3/temp", "")
    assert HealthWatch(sys_root=tmp_path).read().temperature_c == 61.0


def test_wear_of_a_card_and_of_an_emmc(tmp_path: Path) -> None:
    put(tmp_path, "block/mmcblk0/stat", "1000 0 8000 50 2000 0 64000 70 0 90 120\n")
    put(tmp_path, "block/mmcblk0/device/life_time", "0x02 0x03\n")
    put(tmp_path, "block/mmcblk0/device/pre_eol_info", "0x01\n")
    put(tmp_path, "block/sda/stat", "1 0 8 5 2 0 16 7 0 9 12 0 0 0 0\n")
    put(tmp_path, "block/sdb/stat", "0 0 0 0 0 0 0 0 0 0 0\n")
    put(tmp_path, "block/loop0/stat", "1 0 8 5 2 0 16 7 0 9 12\n")
    card, disk = HealthWatch(sys_root=tmp_path).read().devices
    assert (card.name, card.written_bytes, card.worn_pct, card.end_of_life) == ("mmcblk0", 64_000 * 512, 30, 1)
    assert (disk.name, disk.written_bytes, disk.worn_pct, disk.end_of_life) == ("sda", 16 * 512, None, None)


@pytest.mark.parametrize(
    ("text", "now", "seen"),
    [
        ("0", (False, False), (False, False)),
        ("50005", (True, True), (True, True)),
        ("50000", (False, False), (True, True)),
    ],
)
def test_a_raspberry_pis_firmware(tmp_path: Path, text: str, now: tuple[bool, bool], seen: tuple[bool, bool]) -> None:
    put(tmp_path, "devices/platform/soc/soc:firmware/get_throttled", f"{text}\n")
    power = read_throttling(tmp_path)
    assert power is not None
    assert (power.under_voltage, power.throttled) == now
    assert (power.under_voltage_seen, power.throttled_seen) == seen


def test_newer_kernels_tell_of_under_voltage_by_hwmon(tmp_path: Path) -> None:
    put(tmp_path, "class/hwmon/hwmon0/name", "cpu_thermal\n")
    put(tmp_path, "class/hwmon/hwmon1/name", "rpi_volt\n")
    put(tmp_path, "class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    power = read_throttling(tmp_path)
    assert power is not None
    assert power.under_voltage


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["/opt/venv/bin/python", "/opt/venv/bin/commune", "hub", "--config", "secret"], "commune hub"),
        (["python", "-m", "provisioning.command", "agent", "--config", "x"], "commune agent"),
        (["python3", "-m", "kiosk", "--config", "x"], "commune kiosk"),
        (["mosquitto", "-c", "x"], "mosquitto"),
        (["python", "-m", "http.server"], "python"),
        (["vi", "agent"], "vi"),
        ([], ""),
    ],
)
def test_a_process_is_named_by_its_command_line(command: list[str], name: str) -> None:
    assert process_name(command) == name


def test_our_processes_are_found_and_their_arguments_are_not_told(tmp_path: Path) -> None:
    program = tmp_path / "commune"
    program.write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    argv = [sys.executable, str(program), "agent", "--secret"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # until then it is the loader's: hardly any memory, at times no name
            watch = HealthWatch()
            used = {use.pid: use for use in watch.read().processes}
            assert used[process.pid].name == "commune agent"
            assert used[process.pid].memory_bytes > 1_000_000
        finally:
            process.kill()
    assert process.pid not in {use.pid for use in watch.read().processes}

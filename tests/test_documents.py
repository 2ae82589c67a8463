"""What the documents say must exist, and what no committed file may hold."""

import re
import subprocess
from pathlib import Path

import pytest

from provisioning.command import SUB_COMMANDS

ROOT = Path(__file__).parents[1]
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


DOCUMENTS = tracked("*.md")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    dead = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert dead == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_scripts_named_are_there(document: Path) -> None:
    named = set(re.findall(r"(?<![\w/])scripts/[a-z-]+(?:\.sh)?", document.read_text(encoding="utf-8")))
    assert [script for script in sorted(named) if not (ROOT / script).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_shown_exist(document: Path) -> None:
    shown = set(re.findall(r"^\.venv/bin/commune ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
    assert shown <= set(SUB_COMMANDS)


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_versions_and_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE), "an option of pip would name an index or a folder"
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[a-z0-9.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_locks_name_each_package_once() -> None:
    names = [
        found for lock in LOCKS for found in re.findall(r"^([a-z0-9.-]+)==", (ROOT / lock).read_text(), re.MULTILINE)
    ]
    assert len(names) == len(set(names))

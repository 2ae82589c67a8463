"""The kiosk's configuration file, as structs for `bus.config.load`.

What may change on a running kiosk is not here but in `kiosk.settings`, which converges from the province or commune;
`[settings]` is what it starts with before any has come.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from bus.config import BrokerConfig, ClockConfig, DeviceConfig, JournalConfig, ServerTlsConfig
from bus.identifiers import DeviceId
from kiosk.settings import KioskSettings

Path = Annotated[str, Meta(min_length=1, max_length=255)]


class KioskConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the kiosk keeps its state."""

    state: Path = "/var/lib/commune/kiosk"


class PanelConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A serial panel. `path` is best its stable name below /dev/serial/by-id: that one survives replugging."""

    path: Path
    baud: Annotated[int, Meta(ge=1200, le=1_000_000)] = 115_200


class KeypadConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A USB keypad: its stable name below /dev/input/by-id, and the key of each button, most satisfied first.

    Keys are the kernel's codes (linux/input-event-codes.h); the default is the digits of the keypad's number block.
    """

    path: Path
    keys: list[Annotated[int, Meta(ge=1, le=767)]] = field(default_factory=lambda: [79, 80, 81, 75, 76])

    def __post_init__(self) -> None:
        if not 3 <= len(self.keys) <= 5 or len(set(self.keys)) != len(self.keys):
            raise ValueError(f"keys = {self.keys}: 3 to 5 different keys, one for each level")


class BadgeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A serial badge scanner: a line of text for each badge. The same badge again signs the officer off."""

    path: Path
    baud: Annotated[int, Meta(ge=1200, le=1_000_000)] = 9600


class PageConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The touch page. Port 0 takes a free one and says which in `page.json` in the state folder.

    `sounds`: the page says the prompts itself, for a tablet that stands away from the kiosk's loudspeaker.
    """

    enabled: bool = False
    sounds: bool = False
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    tls: ServerTlsConfig | None = None


class ScreenConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The text screen, a process of its own. `tty` is the console it draws on; empty: the one it was started from.

    `term` is what kind of terminal `tty` is (terminfo's name): a Linux console, unless something else is said.
    """

    enabled: bool = False
    tty: str = ""
    term: Annotated[str, Meta(pattern=r"^[A-Za-z0-9+._-]{1,64}$")] = "linux"


class SoundConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Prompts. `recordings` holds `<language>/question.wav` and `thanks.wav`; `wav` sends the sound to a file."""

    enabled: bool = False
    recordings: str = ""
    device: str = ""
    wav: str = ""


class KioskFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. `settings_from` names the issuers whose desired settings are obeyed, and their keys' files."""

    device: DeviceConfig
    broker: BrokerConfig = BrokerConfig()
    journal: JournalConfig = JournalConfig()
    clock: ClockConfig = ClockConfig()
    kiosk: KioskConfig = KioskConfig()
    panel: list[PanelConfig] = field(default_factory=list)
    keypad: list[KeypadConfig] = field(default_factory=list)
    badge: BadgeConfig | None = None
    page: PageConfig = PageConfig()
    screen: ScreenConfig = ScreenConfig()
    sound: SoundConfig = SoundConfig()
    settings: KioskSettings = KioskSettings()
    settings_from: dict[DeviceId, Path] = field(default_factory=dict)

"""Names for the demo's communes: real ones of Thanh Hoa's mountains, so that pages are seen with Vietnamese names.

The communes named have nothing to do with the demo; site ids and codes are made up.
"""

from typing import Final

from bus.identifiers import SiteId

PROVINCE: Final = "Thanh Hóa"
_NAMES: Final = (
    "Mường Lát", "Trung Lý", "Quang Chiểu", "Nhi Sơn", "Pù Nhi", "Mường Chanh", "Tam Chung", "Mường Lý",
    "Bá Thước", "Điền Lư", "Điền Quang", "Cổ Lũng", "Pù Luông", "Thiết Ống", "Văn Nho", "Quý Lương",
)  # fmt: skip


def site_of(number: int) -> SiteId:
    """Site id of the demo's commune `number`, from 1."""
    return f"s{number:04d}"


def name_of(number: int) -> str:
    """Its name. Beyond the list they are numbered, so that no two are alike."""
    index = number - 1
    return _NAMES[index] if index < len(_NAMES) else f"Xã mẫu {number}"

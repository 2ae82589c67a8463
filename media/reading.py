"""Written Vietnamese into words that a speech engine reads right: pure text to text.

espeak-ng reads UBND as an English word, "mm" letter by letter, and 14h00, dates and telephone numbers as it likes. Only
what is surely meant is spelt out; all else is left to the engine.
"""

import re
import unicodedata
from typing import Final

# Abbreviations of offices and notices, whole words only, as they are written.
_WORDS: Final = {
    "UBND": "Ủy ban nhân dân",
    "HĐND": "Hội đồng nhân dân",
    "UBMTTQ": "Ủy ban Mặt trận Tổ quốc",
    "MTTQ": "Mặt trận Tổ quốc",
    "TTHC": "thủ tục hành chính",
    "TTHCC": "trung tâm hành chính công",
    "CCCD": "căn cước công dân",
    "BHYT": "bảo hiểm y tế",
    "BHXH": "bảo hiểm xã hội",
    "PCCC": "phòng cháy chữa cháy",
    "PCTT": "phòng chống thiên tai",
    "TKCN": "tìm kiếm cứu nạn",
    "THCS": "trung học cơ sở",
    "THPT": "trung học phổ thông",
    "CSGT": "cảnh sát giao thông",
    "QĐ": "quyết định",
    "TP.": "thành phố",
    "TX.": "thị xã",
    "TT.": "thị trấn",
}
_UNITS: Final = {
    "mm": "mi li mét",
    "cm": "xen ti mét",
    "km": "ki lô mét",
    "km/h": "ki lô mét một giờ",
    "m/s": "mét một giây",
    "kg": "ki lô gam",
    "ha": "héc ta",
    "m": "mét",
    "°C": "độ xê",
    "%": "phần trăm",
}
_DIGITS: Final = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín")

_ABBREVIATION: Final = re.compile(
    r"(?<!\w)(" + "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)) + r")(?!\w)"
)
_UNIT: Final = re.compile(
    r"(?<=\d)\s*(" + "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True)) + r")(?![\w/])"
)
_TIME: Final = re.compile(r"\b([01]?\d|2[0-3])\s?(?:h|:|giờ)\s?([0-5]\d)\b(?:\s?phút)?")
_HOUR: Final = re.compile(r"\b([01]?\d|2[0-4])h\b")
_DATE: Final = re.compile(r"(?:\b[Nn]gày\s+)?\b(0?[1-9]|[12]\d|3[01])[/.-](0?[1-9]|1[0-2])[/.-](\d{4})\b")
_PHONE: Final = re.compile(r"(?<![\d.,])(?:\+84|0|1[89]00)[\d .]{4,14}\d(?![\d])")
_DECIMAL: Final = re.compile(r"\b(\d+),(\d+)\b")
_THOUSANDS: Final = re.compile(r"\b\d{1,3}(?:\.\d{3})+\b")


def spell_out(text: str) -> str:
    """`text` (Vietnamese) with abbreviations, times, dates, telephone numbers and units in words. NFC."""
    text = unicodedata.normalize("NFC", text)
    text = _DATE.sub(lambda found: f"ngày {int(found[1])} tháng {int(found[2])} năm {found[3]}", text)
    text = _TIME.sub(_say_time, text)
    text = _HOUR.sub(lambda found: f"{int(found[1])} giờ", text)
    text = _PHONE.sub(_say_digits, text)
    text = _THOUSANDS.sub(lambda found: found[0].replace(".", ""), text)
    text = _UNIT.sub(lambda found: f" {_UNITS[found[1]]}", text)
    text = _DECIMAL.sub(lambda found: f"{found[1]} phẩy {found[2]}", text)
    return _ABBREVIATION.sub(lambda found: _WORDS[found[1]], text)


def _say_time(found: re.Match[str]) -> str:
    hour, minute = int(found[1]), int(found[2])
    return f"{hour} giờ" if minute == 0 else f"{hour} giờ {minute} phút"


def _say_digits(found: re.Match[str]) -> str:
    """A telephone number, digit by digit with a breath where the writer left one; a plain number stays a number."""
    text = found[0]
    if len(re.sub(r"\D", "", text)) < 7:
        return text
    groups = re.split(r"[ .]+", text.replace("+84", "0", 1))
    return ", ".join(" ".join(_DIGITS[int(digit)] for digit in group) for group in groups if group)

"""Every cause has its words in both languages, plain, with whom to call."""

import pytest

from agent.causes import Cause
from agent.diagnosis import Finding
from agent.sentences import Contact, Words, words_for

WORDS = Words(
    {"vnpt": "Cáp quang VNPT", "mot-cua": "Phần mềm một cửa"},
    {"vnpt": Contact("VNPT", "1800 1166", "THA-0042"), "mot-cua": Contact("Sở TTTT")},
)


@pytest.mark.parametrize("cleared", [True, False])
@pytest.mark.parametrize("cause", list(Cause))
def test_each_cause_is_said_in_both_languages(cause: Cause, cleared: bool) -> None:
    says, do = words_for(Finding(cause, "vnpt", cleared=cleared), WORDS)
    assert says.vi
    assert says.en
    assert says.vi != says.en, "not translated"
    if cause is not Cause.FINE:
        assert do.vi != do.en
        assert do.vi[0].isupper()
    for text in (says.vi, says.en, do.vi, do.en):
        assert "{" not in text


def test_the_fibre_names_provider_hotline_and_contract() -> None:
    says, do = words_for(Finding(Cause.FIBRE_DOWN, "vnpt"), WORDS)
    assert says.vi.startswith("Cáp quang Internet đứt ở phía nhà mạng")
    assert do.vi == "Gọi VNPT 1800 1166, mã THA-0042; báo đứt cáp quang."
    assert do.en == "Call VNPT on 1800 1166, contract THA-0042; say that the fibre is cut."


def test_without_a_contact_it_is_the_province() -> None:
    _, do = words_for(Finding(Cause.SERVICE_DOWN, "unknown"), WORDS)
    assert do.vi.endswith("báo kỹ thuật của tỉnh.")
    _, do = words_for(Finding(Cause.SERVICE_DOWN, "mot-cua"), WORDS)
    assert do.vi.endswith("gọi Sở TTTT.")

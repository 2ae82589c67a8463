import pytest

from agent.observations import ProbeResult
from agent.senses.burst import BurstRule, jitter_ms, judge


def verdict(sent: int, *rtts_ms: float, needed: int = 1, fault: tuple[str, str] | None = None) -> ProbeResult:
    return judge("t", mono_ns=5, duration_ms=90, sent=sent, rtts_ms=rtts_ms, needed=needed, fault=fault)


def test_all_answered() -> None:
    result = verdict(3, 10.0, 12.0, 11.0)
    assert (result.success, result.loss_pct, result.rtt_ms, result.jitter_ms) == (True, 0.0, 11.0, 1.5)
    assert (result.reason, result.mono_ns, result.duration_ms) == ("", 5, 90)


def test_one_lost_is_loss_and_no_failure() -> None:
    result = verdict(3, 10.0, 12.0, fault=("unreachable", "of the third"))
    assert result.success
    assert result.loss_pct == pytest.approx(33.3, abs=0.1)
    assert result.reason == ""


def test_all_lost_is_a_failure_with_its_reason() -> None:
    assert verdict(6).reason == "timeout"
    told = verdict(3, fault=("no-route", "Network is unreachable"))
    assert (told.success, told.loss_pct, told.rtt_ms, told.reason) == (False, 100.0, None, "no-route")


def test_a_rule_may_want_more_answers() -> None:
    assert not verdict(3, 10.0, needed=2).success
    assert verdict(3, 10.0, 10.0, needed=2).success


def test_nothing_sent_is_all_lost() -> None:
    assert verdict(0).loss_pct == 100.0


@pytest.mark.parametrize(("rtts_ms", "jitter"), [((), None), ((5.0,), None), ((5.0, 5.0), 0.0), ((1.0, 4.0, 2.0), 2.5)])
def test_jitter_is_the_mean_step(rtts_ms: tuple[float, ...], jitter: float | None) -> None:
    assert jitter_ms(rtts_ms) == jitter


@pytest.mark.parametrize("rule", [(0, 3, 1), (3, -1, 1), (3, 3, 0), (3, 3, 4)])
def test_a_rule_that_cannot_hold_is_refused(rule: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="burst"):
        BurstRule(*rule)

"""Blocks of samples: the probes summed up, all else as it stands, named as Prometheus names it."""

import math

from agent.minutes import Tally
from agent.samples import Sample, block, series_name


def test_probes_are_summed_up_and_the_rest_stands() -> None:
    tally = Tally(tried=4, failed=1, loss_sum_pct=100.0, rtt_sum_ms=30.0, rtts=3)
    standing = [
        Sample("commune_load", {}, 0.123456),
        Sample("commune_port_carrier", {"port": "lan0"}, value=True),
        *(Sample("commune_strange", {"is": str(odd)}, odd) for odd in (math.nan, math.inf, -math.inf)),
        Sample("commune_probe_success", {"target": "vnpt"}, 0.0),
        Sample("commune_probe_age_seconds", {"target": "vnpt"}, 0.5),
    ]
    made = block(1_000, 15_000, {"vnpt": tally}, standing)
    assert (made.start_ms, made.step_ms) == (1_000, 15_000)
    assert made.series == {
        'commune_probe_success{target="vnpt"}': [0.75],
        'commune_probe_loss_ratio{target="vnpt"}': [0.25],
        'commune_probe_rtt_seconds{target="vnpt"}': [0.01],
        "commune_load": [0.1235],
        'commune_port_carrier{port="lan0"}': [1.0],
    }


def test_labels_are_escaped_and_in_order() -> None:
    assert series_name("m", {"b": 'say "x"\n', "a": "back\\slash"}) == 'm{a="back\\\\slash",b="say \\"x\\"\\n"}'

"""Measurements, each beside a peer in the same run: `python -m benchmarks`, or scripts/bench.

A benchmark is a module here with a docstring that says what it measures and how, and
`run(scale: float) -> list[Row]`: scale 1 is the full size, the tests run it with less. A figure stands or falls by its
ratio to the peer, since machines differ and a bare number does not travel.
"""

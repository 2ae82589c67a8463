"""Tests. They speak to real brokers, real processes and real sockets; a missing tool fails the run, never skips it."""

"""A whole small province on one machine: real parts, real brokers, loopback ports. Only hardware is simulated."""

"""The serial button panel: its frames, its session, its port, and a simulated one."""

"""The loudspeakers: plan, speaker nodes, conductor and console."""

"""How parts get onto machines, the demo among them."""

"""What every part shares. It knows none of the parts."""

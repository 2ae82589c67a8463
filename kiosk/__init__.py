"""The satisfaction kiosk: panel, screen and touch page."""

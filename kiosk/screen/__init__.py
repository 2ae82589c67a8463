"""The text screen: a Textual app in a process of its own, on a bare Linux console as well as in a terminal."""

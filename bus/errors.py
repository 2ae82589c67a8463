"""Errors, grouped by who must act.

A message says what was found, what was wanted and what to do next, in words an engineer can act on.
The command line maps them to exit codes: `WrongInputError` is 2, every other one is 1.
"""


class CommuneError(Exception):
    """Whatever a part of ours refuses or cannot do."""


class WrongInputError(CommuneError):
    """The caller or the configuration must change: trying again gives the same answer."""


class UntrustedError(CommuneError):
    """A signature, key, name, date or counter does not hold. Nothing of the content was used."""


class UnavailableError(CommuneError):
    """Something outside did not answer or has no room. Trying again later may work."""


class CorruptError(CommuneError):
    """Bytes are not what was written. They are set aside, never dropped unseen."""

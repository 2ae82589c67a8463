"""Received light of a fibre's end: an SFP in a port of the box, or a router, switch or ONT that tells it by SNMP.

Where there is no such device or it measures nothing the answer is None, and nothing is shown.
"""

from agent.observations import OpticalPower
from agent.senses.ethtool import read_module
from agent.senses.sff8472 import decode
from agent.senses.snmp import Request, number_in, query
from bus.errors import CorruptError


def read_sfp(port: str) -> OpticalPower | None:
    """From the module's diagnostics. `PermissionError` without CAP_NET_ADMIN, `CorruptError` for a broken EEPROM."""
    eeprom = read_module(port)
    found = decode(eeprom) if eeprom else None
    if found is None:
        return None
    return OpticalPower(source=port, received_dbm=found.received_dbm, sent_dbm=found.sent_dbm)


async def read_snmp(request: Request, *, scale: float = 1.0) -> OpticalPower | None:
    """From the request's one OID, times `scale` in dBm. `UnavailableError` when the host does not answer."""
    (oid,) = request.oids
    value = number_in((await query(request))[oid], what=f"{oid} at {request.host}")
    if value is None:
        return None
    dbm = value * scale
    # Receivers say "no measurement" by their type's largest or smallest number: light is never that strong or weak.
    if not -60 <= dbm <= 20:
        raise CorruptError(f"{oid} at {request.host} is {value:g}, {dbm:g} dBm with scale {scale:g}: check both")
    return OpticalPower(source=request.host, received_dbm=dbm)

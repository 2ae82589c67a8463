"""Reads the EEPROM of a module in a port by ethtool's ioctl (linux/ethtool.h); `sff8472` knows what it says."""

import array
import errno
import fcntl
import socket
import struct
from typing import Final

_SIOCETHTOOL: Final = 0x8946
_GMODULEINFO: Final = 0x42
_GMODULEEEPROM: Final = 0x43
_IFNAMSIZ: Final = 16
_SFF_8472: Final = 2
_NONE: Final = {errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL, errno.EIO, errno.ENXIO, errno.ETIMEDOUT}


def read_module(port: str) -> bytes | None:
    """Both pages of the SFP in `port`; None where there is no such port, module or driver's support.

    `PermissionError` without CAP_NET_ADMIN.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            info = _ioctl(control, port, struct.pack("=4L8L", _GMODULEINFO, *(0,) * 11))
            _, kind, length, *_ = struct.unpack_from("=3L", info)
            if kind != _SFF_8472:
                return None
            length = min(length, 512)
            answer = _ioctl(control, port, struct.pack("=4L", _GMODULEEEPROM, 0, 0, length) + bytes(length))
        except OSError as error:
            if error.errno in _NONE:
                return None
            raise
    return answer[16 : 16 + length]


def _ioctl(control: socket.socket, port: str, request: bytes) -> bytes:
    buffer = array.array("B", request)
    name = port.encode()[: _IFNAMSIZ - 1]
    fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP", name, buffer.buffer_info()[0]))
    return buffer.tobytes()

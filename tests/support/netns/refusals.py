"""What a firewall that rejects answers: a TCP reset for the segment that it has seen (RFC 9293)."""

from __future__ import annotations

import struct

_ETHERNET = 14
_IPV4 = b"\x08\x00"
_TCP = 6
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_TCP_HEADER = struct.Struct("!HHIIBBHHH")


def flow_of(frame: bytes) -> bytes | None:
    """Addresses and ports of a TCP segment over IPv4 without options; None for anything else."""
    if len(frame) < _ETHERNET + 40 or frame[12:14] != _IPV4 or frame[14] != 0x45:
        return None
    return frame[26:38] if frame[23] == _TCP else None


def refusal(frame: bytes) -> bytes | None:
    """What tells the sender of this frame that its connection is no more, if it is TCP's."""
    if flow_of(frame) is None:
        return None
    segment = frame[_ETHERNET + 20 :]
    source, target, sequence, acknowledged, _, flags, *_ = _TCP_HEADER.unpack_from(segment)
    if flags & _RST:
        return None
    if flags & _ACK:
        # What the sender has acknowledged is what it waits for: it believes no other reset.
        answer = (acknowledged, 0, _RST)
    elif flags & _SYN:
        answer = (0, (sequence + 1) & 0xFFFFFFFF, _RST | _ACK)
    else:
        return None
    own, other = frame[30:34], frame[26:30]
    tcp = _TCP_HEADER.pack(target, source, answer[0], answer[1], 5 << 4, answer[2], 0, 0, 0)
    pseudo = own + other + struct.pack("!BBH", 0, _TCP, len(tcp))
    tcp = tcp[:16] + _checksum(pseudo + tcp) + tcp[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, _TCP, 0) + own + other
    header = header[:10] + _checksum(header) + header[12:]
    return frame[6:12] + frame[0:6] + _IPV4 + header + tcp


def _checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)

"""A DNS server on loopback that answers from a table."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from mreza.address import Address


class DnsServer(asyncio.DatagramProtocol):
    """`records` maps (name without the last dot, type) to texts; other names do not exist."""

    def __init__(self, records: dict[tuple[str, str], list[str]], *, ttl_s: int = 30) -> None:
        self.records = records
        self.ttl_s = ttl_s
        self.silent = False
        self.asked: list[tuple[str, str]] = []
        self._transport: asyncio.DatagramTransport

    async def __aenter__(self) -> Self:
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._transport.close()

    @property
    def address(self) -> Address:
        host, port = self._transport.get_extra_info("sockname")
        return Address(host, port)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self.silent:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        texts = self.records.get((name, kind))
        if texts is not None:
            answer.answer.append(
                dns.rrset.from_text(question.name, self.ttl_s, dns.rdataclass.IN, kind, *texts)
            )
        elif not any(known == name for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), addr)

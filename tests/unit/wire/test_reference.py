"""docs/reference/wire.md lists every field, code and limit as the code has them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mreza.discovery.beacon import SIGNATURE_CONTEXT as BEACON_CONTEXT
from mreza.security.join_token import JoinToken
from mreza.wire import join, link, packet, records
from mreza.wire.frame import FrameType
from tests.golden.cases import BEACON

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "wire.md"
TEXT = REFERENCE.read_text()
SECTIONS: dict[str, str] = dict(
    re.findall(r"^#{2,3} (.+?)\n(.*?)(?=^#{2,3} |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE)
)

MESSAGES: dict[str, type[msgspec.Struct]] = {
    "Hello": link.Hello,
    "Refused": link.Refused,
    "Probe": link.Probe,
    "Goodbye": link.Goodbye,
    "Head": packet.Head,
    "Ack": packet.Ack,
    "Fragment": packet.Fragment,
    "Request": packet.Request,
    "Response": packet.Response,
    "Load": packet.Load,
    "Failure": packet.Failure,
    "Control": packet.Control,
    "Record": records.Record,
    "AgedRecord": records.AgedRecord,
    "RecordsBody": records.RecordsBody,
    "DigestBody": records.DigestBody,
    "DigestEntry": records.DigestEntry,
    "Introduction": records.Introduction,
    "Prekey": records.Prekey,
    "LinksBody": records.LinksBody,
    "LinkEntry": records.LinkEntry,
    "LostLink": records.LostLink,
    "FarewellBody": records.FarewellBody,
    "JoinChain": join.JoinChain,
    "JoinRequest": join.JoinRequest,
    "JoinAnswer": join.JoinAnswer,
    "Join token": JoinToken,
    "Beacon": link.Beacon,
}


@pytest.mark.parametrize("title", MESSAGES)
def test_the_table_of_a_message_lists_its_fields_in_order(title: str) -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|(.*)\|$", SECTIONS[title], re.MULTILINE)
    fields = msgspec.structs.fields(MESSAGES[title])
    assert [(int(index), name) for index, name, _ in rows] == [
        (index, field.name) for index, field in enumerate(fields)
    ]
    for field, (_, _, rest) in zip(fields, rows, strict=True):
        assert ("default" in rest) == (not field.required), field.name


def test_every_frame_type_has_its_row() -> None:
    for kind in FrameType:
        assert f"\n| {int(kind)} | {kind.name} |" in SECTIONS["Frame"]


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Head", packet.PacketKind),
        ("Response", packet.Status),
        ("Control", packet.ControlKind),
        ("Record", records.RecordKind),
    ],
)
def test_every_number_has_its_name(title: str, names: Any) -> None:
    for member in names:
        assert f"{int(member)} {member.name}" in SECTIONS[title]


def test_every_refusal_code_is_explained() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", SECTIONS["Refusal codes"], re.MULTILINE)
    assert explained == [code.value for code in link.RefusalCode]


@pytest.mark.parametrize(
    "context", [records.SIGNATURE_CONTEXT, join.REQUEST_CONTEXT, BEACON_CONTEXT]
)
def test_every_context_of_a_signature_is_written_down(context: bytes) -> None:
    assert f"`{context.decode()}`" in TEXT


def test_a_beacon_with_all_addresses_may_be_cut_but_the_usual_one_fits() -> None:
    assert len(link.BEACON.encode(BEACON)) < 300

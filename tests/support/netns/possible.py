"""Whether this machine lets us make network namespaces and wires between them."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path

from tests.support.netns.commands import IpFailed, ip
from tests.support.netns.names import Owner


@functools.cache
def why_not() -> str:
    """Empty, or what is missing, in a few words."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    if shutil.which("ip") is None:
        return "no ip command (iproute2)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    name = f"{Owner.this_process()}.0.try"
    try:
        ip("netns", "add", name)
        try:
            ip("-n", name, "link", "add", "v0", "type", "veth", "peer", "name", "v1")
            ip("-n", name, "link", "add", "br0", "type", "bridge")
            ip("-n", name, "tuntap", "add", "tap0", "mode", "tap")
        finally:
            ip("netns", "delete", name)
    except IpFailed as error:
        return f"ip netns is not allowed here: {str(error).splitlines()[0]}"
    return ""

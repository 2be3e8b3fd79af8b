"""Networks made of Linux network namespaces, in which real `mreza up` processes run.

    with Net(folder) as net:
        a, b = net.host("a"), net.host("b")
        wire = net.wire(a, b, delay_s=0.005)
        a.up(); b.up(peers=[a])
        wire.cut()

`Net` owns everything it makes. A keeper process carries the frames of the wires and takes all away
when `Net` is closed or its process has died; what even that could not take away, the next run does.
Nothing is made in the namespace of the machine itself.
"""

from __future__ import annotations

from tests.support.netns.hosts import Host
from tests.support.netns.lans import Lan
from tests.support.netns.net import Net
from tests.support.netns.possible import why_not
from tests.support.netns.wires import Wire

__all__ = ["Host", "Lan", "Net", "Wire", "why_not"]

"""A secure mesh for Python programs: no broker, no head node.

Import everything from here. Names are loaded on first use (PEP 562), so that `import mreza` costs
next to nothing and a program pays only for the parts it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mreza.address import Address
    from mreza.balancing.endpoint import NodeLoad
    from mreza.balancing.lease import Choice, Lease
    from mreza.balancing.rebalance import Move
    from mreza.balancing.report import OptimizationReport
    from mreza.config.discovery import DiscoveryConfig
    from mreza.config.link import LinkConfig
    from mreza.config.load_balancer import LoadBalancerConfig, Strategy
    from mreza.config.membership import MembershipConfig
    from mreza.config.mesh import MeshConfig
    from mreza.config.messaging import MessagingConfig
    from mreza.config.processes import ProcessesConfig
    from mreza.config.records import RecordsConfig
    from mreza.config.routing import RoutingConfig
    from mreza.config.security import SecurityConfig
    from mreza.config.topology import TopologyConfig
    from mreza.errors import (
        AdmissionError,
        AmbiguousName,
        CertificateRejected,
        ConfigError,
        DeadlineExceeded,
        DecodeError,
        DuplicateIdentity,
        InvalidAddress,
        InvalidId,
        MeshError,
        NoRoute,
        NoSuchProcess,
        NotRunning,
        OutboxFull,
        Overloaded,
        PayloadError,
        RemoteError,
        StateError,
        UnknownNode,
        WorkerLost,
    )
    from mreza.events import (
        DuplicateIdentityFound,
        EnvelopesDropped,
        EpochRaised,
        Event,
        HandlerFailed,
        LinkDown,
        LinkUp,
        LoopHeld,
        MemberChanged,
        MemberState,
        Partitioned,
        PartitionHealed,
        PeerRefused,
        WorkMoved,
    )
    from mreza.ids import MeshId, MessageId, NodeId
    from mreza.messaging.message import Message, Receipt, ReceivedMessage
    from mreza.node.load_balancer import LoadBalancer
    from mreza.node.mapping import MapResult
    from mreza.node.mesh import MeshNetwork
    from mreza.node.views import (
        CallResult,
        LinkInfo,
        MemberInfo,
        PartitionInfo,
        RouteInfo,
        TraceHop,
    )
    from mreza.processes.handlers import CallContext
    from mreza.qos import Delivery, MessageType, Priority

_HOMES = {
    "mreza.address": ("Address",),
    "mreza.balancing.endpoint": ("NodeLoad",),
    "mreza.balancing.lease": ("Choice", "Lease"),
    "mreza.balancing.rebalance": ("Move",),
    "mreza.balancing.report": ("OptimizationReport",),
    "mreza.config.discovery": ("DiscoveryConfig",),
    "mreza.config.link": ("LinkConfig",),
    "mreza.config.load_balancer": ("LoadBalancerConfig", "Strategy"),
    "mreza.config.membership": ("MembershipConfig",),
    "mreza.config.mesh": ("MeshConfig",),
    "mreza.config.messaging": ("MessagingConfig",),
    "mreza.config.processes": ("ProcessesConfig",),
    "mreza.config.records": ("RecordsConfig",),
    "mreza.config.routing": ("RoutingConfig",),
    "mreza.config.security": ("SecurityConfig",),
    "mreza.config.topology": ("TopologyConfig",),
    "mreza.errors": (
        "AdmissionError",
        "AmbiguousName",
        "CertificateRejected",
        "ConfigError",
        "DeadlineExceeded",
        "DecodeError",
        "DuplicateIdentity",
        "InvalidAddress",
        "InvalidId",
        "MeshError",
        "NoRoute",
        "NoSuchProcess",
        "NotRunning",
        "OutboxFull",
        "Overloaded",
        "PayloadError",
        "RemoteError",
        "StateError",
        "UnknownNode",
        "WorkerLost",
    ),
    "mreza.events": (
        "DuplicateIdentityFound",
        "EnvelopesDropped",
        "EpochRaised",
        "Event",
        "HandlerFailed",
        "LinkDown",
        "LinkUp",
        "LoopHeld",
        "MemberChanged",
        "MemberState",
        "Partitioned",
        "PartitionHealed",
        "PeerRefused",
        "WorkMoved",
    ),
    "mreza.ids": ("MeshId", "MessageId", "NodeId"),
    "mreza.messaging.message": ("Message", "Receipt", "ReceivedMessage"),
    "mreza.node.load_balancer": ("LoadBalancer",),
    "mreza.node.mesh": ("MeshNetwork",),
    "mreza.node.mapping": ("MapResult",),
    "mreza.node.views": (
        "CallResult",
        "LinkInfo",
        "MemberInfo",
        "PartitionInfo",
        "RouteInfo",
        "TraceHop",
    ),
    "mreza.processes.handlers": ("CallContext",),
    "mreza.qos": ("Delivery", "MessageType", "Priority"),
}
"Where each public name lives."
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Address",
    "AdmissionError",
    "AmbiguousName",
    "CallContext",
    "CallResult",
    "CertificateRejected",
    "Choice",
    "ConfigError",
    "DeadlineExceeded",
    "DecodeError",
    "Delivery",
    "DiscoveryConfig",
    "DuplicateIdentity",
    "DuplicateIdentityFound",
    "EnvelopesDropped",
    "EpochRaised",
    "Event",
    "HandlerFailed",
    "InvalidAddress",
    "InvalidId",
    "Lease",
    "LinkConfig",
    "LinkDown",
    "LinkInfo",
    "LinkUp",
    "LoadBalancer",
    "LoadBalancerConfig",
    "LoopHeld",
    "MapResult",
    "MemberChanged",
    "MemberInfo",
    "MemberState",
    "MembershipConfig",
    "MeshConfig",
    "MeshError",
    "MeshId",
    "MeshNetwork",
    "Message",
    "MessageId",
    "MessageType",
    "MessagingConfig",
    "Move",
    "NoRoute",
    "NoSuchProcess",
    "NodeId",
    "NodeLoad",
    "NotRunning",
    "OptimizationReport",
    "OutboxFull",
    "Overloaded",
    "PartitionHealed",
    "PartitionInfo",
    "Partitioned",
    "PayloadError",
    "PeerRefused",
    "Priority",
    "ProcessesConfig",
    "Receipt",
    "ReceivedMessage",
    "RecordsConfig",
    "RemoteError",
    "RouteInfo",
    "RoutingConfig",
    "SecurityConfig",
    "StateError",
    "Strategy",
    "TopologyConfig",
    "TraceHop",
    "UnknownNode",
    "WorkMoved",
    "WorkerLost",
    "__version__",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'mreza' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Who does the work: strategies behind guards, and an account of every choice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from random import Random

from mreza.balancing.endpoint import (
    LOAD_MAX_AGE_S,
    Host,
    NodeKey,
    NodeLoad,
    cpu_limit_of,
    order_of,
)
from mreza.balancing.hedging import hedge_delay_s
from mreza.balancing.lease import Choice, Lease
from mreza.balancing.pool import Pool
from mreza.balancing.rebalance import SETTLE_S, plan
from mreza.balancing.report import HOW_TO_ATTACH, OptimizationReport, advice_on
from mreza.balancing.strategy import DRAW_LOTS, NO_LOTS
from mreza.config.load_balancer import Strategy, strategy_of
from mreza.errors import ConfigError, UnknownNode
from mreza.qos import Priority

__all__ = ["Balancer", "Choice", "Lease", "OptimizationReport"]

POOLS_MAX = 4096
"Processes remembered; beyond, the oldest is forgotten and starts anew."
CALLS_MAX = 1024
"Calls whose choices `why` remembers."


class Balancer:
    """Picks a node for each piece of work and counts what is in flight where. Knows no clock.

    Whoever knows the time tells it with each input; an input without `now` happens at the time of
    the one before. A strategy that draws lots needs `rng`.
    """

    def __init__(
        self,
        *,
        strategy: Strategy | str = Strategy.ROUND_ROBIN,
        threshold: float = 0.8,
        per_process: Mapping[str, Strategy | str] | None = None,
        load_max_age_s: float = LOAD_MAX_AGE_S,
        rng: Random | None = None,
    ) -> None:
        if not 0.0 < threshold <= 1.0:
            raise ConfigError(f"threshold is {threshold}: must be above 0 and at most 1")
        self.strategy = strategy_of(strategy)
        self.threshold = threshold
        self._per_process = {
            process: strategy_of(other) for process, other in (per_process or {}).items()
        }
        self._load_max_age_s = load_max_age_s
        self._rng = rng
        self._now = 0.0
        self._hosts: dict[NodeKey, Host] = {}
        self._all: tuple[NodeKey, ...] | None = ()
        self._pools: dict[str, Pool] = {}
        self._choices: dict[int, list[Choice]] = {}

    # Inputs.

    def update(self, load: NodeLoad, *, now: float | None = None) -> None:
        """A node's load was measured; a node not known before may get work from now on."""
        host = self._host(load.node)
        resized = not host.known or host.reported.capacity != load.capacity
        host.report(load, now=self._time(now))
        if resized:
            self._rescale()

    def remove(self, node: NodeKey) -> None:
        """The node gets no more work. Leases at it may still be ended."""
        if self._hosts.pop(node, None) is not None:
            self._all = None
            for pool in self._pools.values():
                pool.remove(node)

    def doubt(self, node: NodeKey, reason: str) -> None:
        """Somebody thinks this node unhealthy: no work, unless that is said of more than half."""
        self._host(node).doubt = reason

    def trust(self, node: NodeKey) -> None:
        """The doubt was unfounded, or is over."""
        host = self._hosts.get(node)
        if host is not None:
            host.doubt = ""

    def acquire(
        self,
        key: str | None = None,
        exclude: Collection[NodeKey] = (),
        *,
        among: Iterable[NodeKey] | None = None,
        process: str = "",
        strategy: Strategy | str | None = None,
        priority: int = Priority.NORMAL,
        attempt: int = 1,
        call: int | None = None,
        now: float | None = None,
    ) -> Lease:
        """Pick a node: one of `among` (None: of all known), by this or the process's strategy.

        Equal `key`s stay together under CONSISTENT_HASH; other strategies do not look at it.
        `call` is a number by which `why` finds the choice.

        Raises:
            UnknownNode: there is no node to pick from.
            Overloaded: none has room for work of this `priority`.
        """
        now = self._time(now)
        pool = self._pool(process)
        if among is None:
            nodes = self._all = self._all or tuple(sorted(self._hosts, key=order_of))
        else:
            nodes = among if isinstance(among, tuple) else tuple(among)
        if nodes != pool.listed:
            pool.offered_by(nodes, [self._host(node) for node in sorted(nodes, key=order_of)])
        endpoints = pool.current
        if exclude:
            endpoints = [endpoint for endpoint in endpoints if endpoint.node not in exclude]
        if not endpoints:
            raise UnknownNode(
                "none is left of the nodes that could do this work"
                if exclude or among is not None
                else HOW_TO_ATTACH
            )
        endpoint, choice = pool.pick(
            endpoints,
            strategy=self.strategy_for(process, strategy),
            key=key,
            priority=priority,
            attempt=attempt,
            now=now,
        )
        if call is not None:
            self._remember(call, choice)
        return Lease(endpoint, pool, now=now, choice=choice, priority=int(priority))

    def lease_on(self, node: NodeKey, *, process: str = "", now: float | None = None) -> Lease:
        """Count work that somebody else has placed on `node`."""
        now = self._time(now)
        pool = self._pool(process)
        return Lease(pool.endpoint(self._host(node)), pool, now=now)

    def may_retry(self, process: str = "", *, now: float | None = None) -> bool:
        """Take one retry from the budget: 20 % of the requests, and ten a second."""
        return self._pool(process).retries.take(now=self._time(now))

    def must_retry(self, process: str = "", *, now: float | None = None) -> None:
        """Work of a lost node goes elsewhere; others have to wait the longer for a retry."""
        self._pool(process).retries.spend(now=self._time(now))

    # Outputs.

    def strategy_for(self, process: str, wanted: Strategy | str | None = None) -> Strategy:
        """What a call wants, else what is set for its process, else the balancer's own.

        Raises:
            ConfigError: there is no such strategy.
        """
        if wanted is not None:
            return strategy_of(wanted)
        return self._per_process.get(process, self.strategy)

    def check(self, process: str = "", strategy: Strategy | str | None = None) -> None:
        """Refuse a strategy that can never pick: one that does not exist, or lacks its `rng`.

        Raises:
            ConfigError: it is one of these.
        """
        chosen = self.strategy_for(process, strategy)
        if self._rng is None and chosen in DRAW_LOTS:
            raise ConfigError(NO_LOTS.format(chosen))

    def hedge_delay_s(self, process: str = "") -> float | None:
        """How long to wait before a second node is asked for the same; None: do not."""
        return hedge_delay_s(self._pool(process).latencies)

    def load_of(self, node: NodeKey, *, now: float | None = None) -> NodeLoad:
        """The load of a node; of one never heard of, that of an idle one."""
        host = self._hosts.get(node)
        return NodeLoad(node) if host is None else host.figures(self._time(now))

    def why(self, subject: NodeKey | int | Lease, *, now: float | None = None) -> str:
        """Of a node: does it get work now, and why. Of a call or a lease: why that node has it."""
        match subject:
            case Lease(choice=None):
                return f"{NodeLoad(subject.node).label} was asked for"
            case Lease(choice=choice):
                return str(choice)
            case int():
                choices = self._choices.get(subject)
                if choices is None:
                    return f"the balancer does not remember call {subject}"
                return "; then ".join(str(choice) for choice in choices)
        host = self._hosts.get(subject)
        if host is None:
            return f"{NodeLoad(subject).label} gets no work: the balancer has not heard of it"
        return self._why_host(host, self._time(now))

    def optimize(
        self,
        *,
        attached: bool = False,
        names: Mapping[NodeKey, str] | None = None,
        dry_run: bool = False,
        now: float | None = None,
    ) -> OptimizationReport:
        """Look at all nodes, or at those in `names`; move keys away from those with too much.

        A dry run only says what it would move.
        """
        now = self._time(now)
        nodes: dict[NodeKey, NodeLoad] = {}
        overloaded: list[NodeKey] = []
        for node in sorted(self._hosts if names is None else names, key=order_of):
            host = self._host(node)
            load = host.figures(now)
            nodes[node] = load.renamed(names[node] if names else load.name)
            if host.is_above(self.threshold, now):
                overloaded.append(node)
        moves = plan(
            {process: pool.keys for process, pool in self._pools.items() if len(pool.keys)},
            nodes,
            [node for node in overloaded if now - self._hosts[node].unloaded_at >= SETTLE_S],
            {
                process: [e.node for e in pool.current if e.is_healthy(now)]
                for process, pool in self._pools.items()
            },
            threshold=self.threshold,
            now=now,
        )
        if not dry_run:
            for move in moves:
                self._pools[move.process].keys.moved(move, now=now)
                self._hosts[move.source].unloaded_at = now
        return OptimizationReport(
            attached=attached,
            strategy=self.strategy,
            threshold=self.threshold,
            nodes=nodes,
            overloaded=tuple(overloaded),
            moves=tuple(moves),
            dry_run=dry_run,
            advice=advice_on(nodes, overloaded, self.threshold, attached=attached),
        )

    @property
    def stats(self) -> dict[str, int]:
        """Counted since the start, over all processes."""
        pools = self._pools.values()
        return {
            "ejections": sum(pool.outliers.ejections for pool in pools),
            "panics": sum(pool.panics for pool in pools),
            "shed": sum(pool.shed for pool in pools),
        }

    # Rules.

    def _why_host(self, host: Host, now: float) -> str:
        load = host.figures(now)
        busy = f"{load.in_flight} of {load.capacity} in flight"
        if load.cpu is not None:
            busy += f", CPU {load.cpu:.0%}"
        age_s = host.age_s(now)
        if age_s is not None and age_s > self._load_max_age_s:
            busy += f" (its own figures are {age_s:.0f} s old and not believed)"
        past = f"{host.picks} picks, {host.succeeded} succeeded, {host.failed} failed"
        if host.latency_s is not None:
            past += f", {host.latency_s * 1000:.1f} ms each"
        troubles = [
            f"{pool.process!r} is {trouble}" if pool.process else trouble
            for pool in self._pools.values()
            if (trouble := pool.trouble_of(host.node, now=now))
        ]
        threshold = f"{self.threshold:.0%}"
        hosts = self._hosts.values()
        limit = cpu_limit_of(hosts, threshold=self.threshold, now=now)
        if host.doubt:
            verdict = f"gets no work: {host.doubt}; {busy}"
        elif not host.is_above(self.threshold, now, cpu_limit=limit):
            verdict = f"gets work in its turn: {busy}, threshold {threshold}"
        elif all(other.is_above(self.threshold, now, cpu_limit=limit) for other in hosts):
            verdict = f"gets work in its turn, because all are above {threshold}: {busy}"
        else:
            verdict = f"gets no new work while above {threshold}: {busy}"
        if troubles and not host.doubt:
            verdict += "; but " + ", ".join(troubles)
        return f"{load.label} {verdict}; {past}"

    def _time(self, now: float | None) -> float:
        if now is not None:
            self._now = now
        return self._now

    def _host(self, node: NodeKey) -> Host:
        host = self._hosts.get(node)
        if host is None:
            host = self._hosts[node] = Host(node, max_age_s=self._load_max_age_s)
            self._all = None
            self._rescale()
        return host

    def _rescale(self) -> None:
        """Take a node that has not said what it can hold for an average one."""
        known = [host.scale for host in self._hosts.values() if host.known]
        if known and len(known) < len(self._hosts):
            for host in self._hosts.values():
                if not host.known:
                    host.scale = sum(known) / len(known)

    def _pool(self, process: str) -> Pool:
        pool = self._pools.get(process)
        if pool is None:
            if len(self._pools) >= POOLS_MAX:
                del self._pools[next(iter(self._pools))]
            pool = self._pools[process] = Pool(process, threshold=self.threshold, rng=self._rng)
        return pool

    def _remember(self, call: int, choice: Choice) -> None:
        if choice.attempt > 1 and call in self._choices:
            self._choices[call].append(choice)
            return
        self._choices[call] = [choice]
        if len(self._choices) > CALLS_MAX:
            del self._choices[next(iter(self._choices))]

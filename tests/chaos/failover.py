"""T3: a cluster of three masters and three replicas, whose masters die while a replica lags.

Killing a master alone loses next to nothing, as its replica is microseconds behind. So the replica
is frozen and cut off first, the master takes writes alone for less time than the cluster needs to
miss the replica, dies and loses its files; then the stale replica is let go and is promoted.
"""

import asyncio
import shutil
from dataclasses import dataclass

from service.usage.client import close, connect
from service.usage.scripts import Keys, shards
from tests.chaos.scenario import Play, Shown
from tests.chaos.stage import Stage, staged
from tests.chaos.worker import Worker
from tests.service.usage.servers import Server, binary, free_port, until

SLOTS = 16_384
MASTERS = 3
FAILOVERS = 4

ALONE = 300
"""Attempts that a master takes alone."""


@dataclass(slots=True)
class Cluster:
    """Six servers on loopback."""

    nodes: list[Server]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}"

    async def form(self, buses: list[int]) -> None:
        """Three masters with a third of the slots each, and a replica for each."""
        first, *others = self.nodes
        for node, bus in zip(others, buses[1:], strict=True):
            await first.ask("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        bounds = [SLOTS * part // MASTERS for part in range(MASTERS + 1)]
        for node, start, end in zip(self.nodes, bounds, bounds[1:], strict=False):
            await node.ask("CLUSTER", "ADDSLOTSRANGE", start, end - 1)
        await until(self._all_known)
        for master, replica in zip(self.nodes, self.nodes[MASTERS:], strict=False):
            name = await master.ask("CLUSTER", "MYID")
            await replica.ask("CLUSTER", "REPLICATE", name)
        await self.whole()

    async def _all_known(self) -> bool:
        told = [await node.ask("CLUSTER", "NODES") for node in self.nodes]
        return all(_size(known) == 2 * MASTERS for known in told)

    async def whole(self) -> None:
        """Wait until every slot is served and every replica is in step."""
        await until(self._is_whole, patience=60)

    async def _is_whole(self) -> bool:
        for node in self.nodes:
            told = await node.ask("CLUSTER", "INFO")
            if "cluster_state:ok" not in _text(told):
                return False
            role = await node.ask("ROLE")
            if role[0] == b"slave" and role[3] != b"connected":
                return False
        return True

    async def master_of(self, keys: Keys) -> tuple[Server, Server]:
        """The master that has these keys, and its replica."""
        slot = await self.nodes[0].ask("CLUSTER", "KEYSLOT", keys.stream)
        by_port = {node.port: node for node in self.nodes}
        for start, end, master, *replicas in await self.nodes[0].ask("CLUSTER", "SLOTS"):
            if start <= slot <= end and replicas:
                return by_port[master[1]], by_port[replicas[0][1]]
        message = f"slot {slot} has no master with a replica"
        raise AssertionError(message)


def _text(told: object) -> str:
    return told.decode() if isinstance(told, bytes) else str(told)


def _size(told: object) -> int:
    """How many nodes a node knows."""
    return len(told) if isinstance(told, dict) else len(_text(told).splitlines())


async def failovers(play: Play) -> Shown:
    """T3: four times a stale replica takes over."""
    async with staged(play) as stage:
        buses = [free_port() for _ in range(2 * MASTERS)]
        cluster = Cluster([_node(play, number, bus) for number, bus in enumerate(buses)])
        stage.others += cluster.nodes
        await asyncio.gather(*(node.start() for node in cluster.nodes))
        await cluster.form(buses)
        stage.elsewhere = f"{cluster.url}?protocol={play.engine.protocol}"
        writers = [await stage.writer() for _ in range(2)]
        await asyncio.gather(stage.consumer(), stage.consumer())
        regressions = []
        for turn in range(faults := play.of(FAILOVERS)):
            await stage.goes_on()
            regressions.append(await _fail_over(stage, cluster, writers[turn % 2]))
        shown = await stage.settle()
    told = ", ".join(f"{before:,} -> {after:,}" for before, after in regressions)
    shown.fault = f"{faults} masters died; marks went back {told}"
    shown.must(all(before > after for before, after in regressions), "a mark did not go back")
    shown.must((shown.rewinds or 0) >= faults, "a publisher did not see its mark go back")
    return shown


def _node(play: Play, number: int, bus: int) -> Server:
    # fmt: off
    return Server(
        binary(play.engine.kind), play.folder / f"node-{number}",
        "--port", str(free_port()), "--bind", "127.0.0.1", "--appendonly", "yes",
        "--cluster-enabled", "yes", "--cluster-port", str(bus),
        "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no",
        "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0",
    )
    # fmt: on


async def _fail_over(stage: Stage, cluster: Cluster, writer: Worker) -> tuple[int, int]:
    """Where the mark of a writer's events was on the master, and is on the replica after it."""
    producer, keys = await _producer(stage, cluster, writer)
    master, replica = await cluster.master_of(keys)
    replica.freeze()
    await master.ask("CLIENT", "KILL", "TYPE", "replica")
    await stage.reaches(stage.acked + ALONE)
    before = int(await master.ask("HGET", keys.marks, producer) or 0)
    await master.kill()
    shutil.rmtree(master.folder / "appendonlydir")
    replica.thaw()
    after = await _mark(replica, keys, producer)
    await until(lambda: _leads(replica), patience=60)
    await stage.goes_on()
    await master.start()
    await cluster.whole()
    return before, after


async def _producer(stage: Stage, cluster: Cluster, writer: Worker) -> tuple[str, Keys]:
    """What a writer's newest epoch is called, and its keys."""
    producer = stage.producers()[stage.writers.index(writer)]
    client = connect(cluster.nodes[0].as_cluster())
    try:
        return producer, (await shards(client)).of(producer)
    finally:
        await close(client)


async def _leads(node: Server) -> bool:
    return bool((await node.ask("ROLE"))[0] == b"master")


async def _mark(node: Server, keys: Keys, producer: str) -> int:
    """What a replica has, which it tells only who asks for that."""
    client = connect(node.address, connections=1)
    try:
        await client.execute_command("READONLY")
        return int(await client.hget(keys.marks, producer) or 0)
    finally:
        await close(client)

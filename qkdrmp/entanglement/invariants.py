"""What must always hold in an entanglement network, also for what connections leave behind."""

from __future__ import annotations

from qkdrmp.entanglement.ledger import ConnectionStatus
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.kernel.invariants import require


def check_network(network: EntanglementNetwork) -> None:
    """Check everything; raise `InvariantError` if something that must hold does not."""
    check_allocations(network)
    check_pairs(network)
    check_memories(network)
    check_over(network)


def check_allocations(network: EntanglementNetwork) -> None:
    """Check that both ends of every link give every trial that both have started to the same connection."""
    if not network.settings.allocation.barrier:
        return
    for ends, link in network.links.items():
        name = "-".join(ends)
        here, there = (network.interfaces[a][b] for a, b in (ends, ends[::-1]))
        closed = min(here.allocation.epoch, there.allocation.epoch)
        agreements = ([a for a in end.allocation.agreements if a.epoch <= closed] for end in (here, there))
        is_bound = here.binds_late
        for mine, theirs in zip(*agreements, strict=True):
            same = mine.entries == theirs.entries if is_bound else mine == theirs
            require(same, f"{name}: the ends agreed on {mine} and {theirs}")
        first, last = sorted((here, there), key=lambda end: -end.allocation.epoch)
        ahead, behind = first.allocation, last.allocation
        require(ahead.epoch - behind.epoch <= 1, f"{name}: epochs {ahead.epoch} and {behind.epoch}")
        if not is_bound and ahead.epoch != behind.epoch and ahead.agreements[-1].epoch == ahead.epoch:
            barrier, since = behind.void_from, ahead.agreements[-1].since
            state = behind.state(link.next_trial(last.end) - 1)
            require(
                barrier is not None and since >= barrier,
                f"{name}: {ahead.name} switches at trial {since}, which {behind.name} ({state}) has not released",
            )


def check_pairs(network: EntanglementNetwork) -> None:
    """Check that no delivered pair has a wrong partner, and that none was delivered twice or beyond the need."""
    if not network.settings.allocation.barrier:
        return
    own = {stack.connection for stack in network.settings.setup.rulesets}
    for entry in network.ledger.entries.values():
        if any(name.partition("/")[0] == entry.id for name in own):
            continue  # what RuleSets of the user's own do is not this package's promise
        require(entry.wrong_partner == 0, f"{entry.id}: {entry.wrong_partner} pairs have a wrong partner")
        need = entry.request.spec.pairs
        require(need is None or entry.pairs <= need, f"{entry.id}: {entry.pairs} pairs delivered of {need}")
        if entry.state is ConnectionStatus.DELIVERED and need is not None:
            require(entry.pairs == need, f"{entry.id}: delivered, with {entry.pairs} of {need} pairs")
            require(not entry.halves, f"{entry.id}: {len(entry.halves)} pairs delivered at one end only")


def check_memories(network: EntanglementNetwork) -> None:
    """Check that no interface promises or fills more memories than it has."""
    for name, by_peer in network.interfaces.items():
        for peer, interface in by_peer.items():
            where = f"{name} towards {peer}"
            require(interface.free >= 0, f"{where}: quotas exceed the memories by {-interface.free}")
            sharing = [interface] if interface.pool is None else interface.pool.interfaces
            filled = sum(one.occupied for one in sharing)
            require(
                interface.occupied >= 0 and filled <= interface.total,
                f"{where}: {filled} of {interface.total} memories are filled",
            )
            for share in interface.shares.values():
                require(share.held >= 0, f"{where}: {share.attempt} holds {share.held} halves")


def check_over(network: EntanglementNetwork) -> None:
    """Check that a node keeps nothing of a connection that is over there."""
    for name, stack in network.stacks.items():
        for record in stack.records.values():
            if record.is_over:
                kept = [interface.peer for interface in record.interfaces if record.attempt in interface.shares]
                require(not kept, f"{name}: {record.attempt} is over and still has memories towards {', '.join(kept)}")
                require(record.session is None, f"{name}: {record.attempt} is over and its RuleSet still runs")

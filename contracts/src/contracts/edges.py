"""The table of call edges: who may call whom, for what, for how long, and what happens without it.

One table, three uses: the callee's check of internal tokens, the Kubernetes NetworkPolicies and an architecture
test are all derived from it, so a call that is not written here can be neither made nor let in.
"""

from dataclasses import dataclass

SERVICES = ("identity", "card", "payment", "scenario", "interop")

ANY_ROUTE = frozenset({"*"})
"""The gateway may call every routed operation of a service; the route file says which those are."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """One synchronous call that one deployable may make to another."""

    caller: str
    callee: str
    operations: frozenset[str]  # operation ids of the callee, or ANY_ROUTE
    deadline_s: float  # the caller gives up after this long
    without: str  # what happens when the callee does not answer


EDGES: tuple[Edge, ...] = (
    *(
        Edge(caller="gateway", callee=service, operations=ANY_ROUTE, deadline_s=10.0, without="503")
        for service in SERVICES
    ),
    Edge(
        caller="gateway",
        callee="identity",
        operations=frozenset({"identity.revocations", "identity.keys"}),
        deadline_s=1.0,
        without="past 3 s sensitive routes answer 503 revocation-stale",
    ),
    Edge(
        caller="scenario",
        callee="payment",
        operations=frozenset({"payment.charge", "payment.void", "payment.refund"}),
        deadline_s=2.0,
        without="the use stays open and the payment's event closes it",
    ),
    Edge(
        caller="scenario",
        callee="card",
        operations=frozenset({"card.state_now"}),
        deadline_s=0.5,
        without="the scenario's declared behaviour: refuse",
    ),
    Edge(
        caller="card",
        callee="identity",
        operations=frozenset({"identity.find_citizen", "identity.reveal"}),
        deadline_s=2.0,
        without="the batch waits, the counter is asked to try again",
    ),
)

FOLLOWS: dict[str, tuple[str, ...]] = {
    "identity": (),
    "card": ("identity",),
    "payment": ("card",),
    "scenario": ("card", "identity", "payment"),
    "interop": (),
}
"""Who follows whose journal. The rights of the NATS users are generated from this declaration."""


def operations_between(caller: str, callee: str) -> frozenset[str]:
    """Return what `caller` may ask of `callee`; empty when there is no edge, and holding `*` for the gateway."""
    return frozenset().union(*(e.operations for e in EDGES if (e.caller, e.callee) == (caller, callee)))


def callers_of(callee: str) -> tuple[str, ...]:
    """Return every deployable that may call `callee`, each once, in the order of the table."""
    return tuple(dict.fromkeys(edge.caller for edge in EDGES if edge.callee == callee))

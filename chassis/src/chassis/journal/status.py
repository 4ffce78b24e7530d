"""What a process can say about its journal, in plain values for an operator's JSON."""

from dataclasses import dataclass

from chassis.journal.follower import FollowerState


@dataclass(frozen=True, kw_only=True)
class FollowerStatus:
    """One source as this process follows it."""

    state: str  # starting, following, unanswered, unwell, forked, stopped
    reason: str
    block: int
    position: int
    age_s: float  # by this process's clock; for decisions `freshness` asks the database
    applied: int
    set_aside: int
    retried: int
    reads: int
    unanswered: int
    wrong_on_the_wire: int
    dropped_by_full_queue: int

    @classmethod
    def of(cls, state: FollowerState, now_s: float) -> "FollowerStatus":
        """Take a follower's state at one moment."""
        return cls(
            state=state.state,
            reason=state.reason,
            block=state.standing.block,
            position=state.standing.position,
            age_s=round(state.age_s(now_s), 3),
            applied=state.counts.applied,
            set_aside=state.counts.set_aside,
            retried=state.counts.retried,
            reads=state.reads,
            unanswered=state.unanswered,
            wrong_on_the_wire=state.wrong_on_the_wire,
            dropped_by_full_queue=state.dropped_by_full_queue,
        )


@dataclass(frozen=True, kw_only=True)
class JournalStatus:
    """One process's journal; `dataclasses.asdict` of it is JSON."""

    service: str
    leading: bool  # only the process that leads numbers and follows
    term: int
    block: int
    position: int
    horizon_age_s: float
    blocks_sealed: int
    rows_sealed: int
    fenced: int
    holders_ended: int
    error: str  # why it does not lead, when it should
    nats_connected: bool
    nats_refusals: int  # anything but 0 is a fault of configuration
    reads_answered: int
    followers: dict[str, FollowerStatus]

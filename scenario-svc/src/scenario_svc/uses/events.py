"""A use after a change -> the event that is promised for it."""

from contracts.events.scenario import UseAccepted, UseEvent, UseOpened, UseRefunded, UseRefused
from scenario_svc.uses.domain import CardUse, UseState

_SHAPES: dict[UseState, type[UseEvent]] = {
    UseState.OPEN: UseOpened,
    UseState.ACCEPTED: UseAccepted,
    UseState.REFUSED: UseRefused,
    UseState.CANCELLED: UseRefused,
}


def use_became(use: CardUse) -> UseEvent:
    """Tell what a use has become."""
    return _told(_SHAPES[use.state], use)


def use_refunded(use: CardUse) -> UseEvent:
    """Tell that more of a use was refunded."""
    return _told(UseRefunded, use)


def _told(shape: type[UseEvent], use: CardUse) -> UseEvent:
    return shape(
        use=use.id,
        citizen=use.citizen,
        card=use.card,
        venue=use.venue,
        terminal=use.terminal,
        scenario=use.scenario,
        amount_fen=use.amount_fen,
        refunded_fen=use.refunded_fen,
        state=use.state.value,
        refusal=use.refusal,
        version=use.version,
    )

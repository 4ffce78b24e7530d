"""What scenario-svc follows: card-svc for the states of cards, payment-svc for what became of charges."""

from collections.abc import Sequence

from chassis.journal.received import Received
from chassis.work import Work
from contracts.events.card import CARD_EVENTS
from contracts.events.envelope import decode
from contracts.events.payment import PAYMENT_EVENTS, PaymentEvent, RefundConfirmed, RefundEvent
from scenario_svc.uses.store import KnownCards
from scenario_svc.uses.use_cases import PaymentNews, take_payment_news


async def know_cards(work: Work, events: Sequence[Received]) -> None:
    """Keep the newest state of every card."""
    told = [
        decode(CARD_EVENTS[received.topic], received.body).event for received in events if received.topic in CARD_EVENTS
    ]
    if told:
        await KnownCards(work.session).know(told)


async def close_uses(work: Work, events: Sequence[Received]) -> None:
    """Close the uses whose charges came to an end, and note what was refunded."""
    told = [
        decode(PAYMENT_EVENTS[received.topic], received.body).event
        for received in events
        if received.topic in PAYMENT_EVENTS
    ]
    if told:
        await take_payment_news(work, [_news(payment) for payment in told])


def _news(payment: PaymentEvent) -> PaymentNews:
    ended = None
    if isinstance(payment, RefundEvent):
        ended = (payment.refund, "confirmed" if isinstance(payment, RefundConfirmed) else "refused")
    return PaymentNews(payment.charge, payment.state, payment.refusal, payment.refunded_fen, ended)

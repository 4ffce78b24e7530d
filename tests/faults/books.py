"""Money after the attack: uses, payments, the ledger and the bank's own books tell one story, fen by fen.

Invariant: the bank's file is the bank's word; nothing that payment-svc says of itself is taken for it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from onecard_local.callers import expect
from tests.faults.cell import AttackedCell
from tests.faults.people import Town

CLOSED_BY = {"accepted": "confirmed", "refused": "refused", "cancelled": "voided"}


def bank_books(cell: AttackedCell) -> dict[str, dict[str, Any]]:
    """Return every instruction that the bank ever took, as it stands."""
    books = {}
    for line in cell.bank_file.read_text("utf-8").splitlines():
        said = json.loads(line)
        if "order" in said:
            books[said["order"]["id"]] = said
    return books


def money_problems(cell: AttackedCell, town: Town) -> Iterator[str]:
    """Hold the three against each other."""
    answer = town.operator.call("GET", "/v1/ledger/invariants", token=town.operator_token(False))
    ledger = expect(answer, 200)
    if not ledger["ok"] or ledger["sum_fen"] != 0:
        yield f"the ledger is broken: {ledger['broken']}, its entries sum to {ledger['sum_fen']}"
    if ledger["open_payments"] or ledger["open_refunds"]:
        yield f"{ledger['open_payments']} payments and {ledger['open_refunds']} refunds are still open"
    payments = cell.ask("payment", "SELECT * FROM payment")
    yield from charges_against_uses(payments, cell.ask("scenario", "SELECT * FROM card_use"))
    refunds = cell.ask("payment", "SELECT * FROM refund")
    yield from refunds_within_bounds(payments, refunds, cell.ask("scenario", "SELECT * FROM refund"))
    yield from payments_against_bank(payments, refunds, bank_books(cell))
    yield from balances(cell, payments)


def charges_against_uses(payments: list[Any], uses: list[Any]) -> Iterator[str]:
    """One payment for each use that charges, in the state that the use says."""
    by_charge = {payment["charge"]: payment for payment in payments}
    if len(by_charge) != len(payments):
        yield "a use was charged twice"
    charged = {use["id"]: use for use in uses if use["amount_fen"] is not None}
    for charge in by_charge.keys() - charged.keys():
        yield f"payment of {charge}, which is no use"
    for use in charged.values():
        payment = by_charge.get(use["id"])
        if payment is None:
            if use["state"] != "cancelled":
                yield f"use {use['id']} is {use['state']} without a payment"
            continue
        wanted = CLOSED_BY.get(use["state"])
        given_back = payment["void_wanted"] and payment["refunded_fen"] == payment["amount_fen"]
        if payment["state"] != wanted and not (wanted == "voided" and given_back):
            yield f"use {use['id']} is {use['state']}, its payment {payment['state']}"
        if (payment["amount_fen"], payment["refunded_fen"]) != (use["amount_fen"], use["refunded_fen"]):
            yield f"use {use['id']} says {use['amount_fen']}-{use['refunded_fen']} fen, its payment otherwise"


def refunds_within_bounds(payments: list[Any], refunds: list[Any], promised: list[Any]) -> Iterator[str]:
    """What was given back is at most what was paid, and each promise of scenario-svc is one refund in payment-svc."""
    given: Counter[Any] = Counter()
    for refund in refunds:
        given[refund["payment"]] += refund["amount_fen"] if refund["state"] == "confirmed" else 0
    for payment in payments:
        if not given[payment["payment"]] == payment["refunded_fen"] <= payment["amount_fen"]:
            yield f"payment {payment['payment']}: {given[payment['payment']]} fen were given back, it says otherwise"
    states = {refund["refund"]: refund["state"] for refund in refunds}
    for refund in promised:
        if states.get(refund["id"], "refused") != refund["state"]:
            yield f"refund {refund['id']} is {refund['state']}, payment-svc says {states.get(refund['id'])}"


def payments_against_bank(payments: list[Any], refunds: list[Any], books: dict[str, dict[str, Any]]) -> Iterator[str]:
    """One debit for each confirmed payment, one credit for each confirmed refund, and nothing else moved."""
    ours = {str(p["payment"]): ("debit", p["amount_fen"]) for p in payments if p["state"] == "confirmed"}
    ours |= {str(r["instruction"]): ("refund", r["amount_fen"]) for r in refunds if r["state"] == "confirmed"}
    moved = {
        id_: (said["order"]["kind"], said["order"]["amount_fen"])
        for id_, said in books.items()
        if said["state"] == "confirmed"
    }
    for id_ in ours.keys() | moved.keys():
        if ours.get(id_) != moved.get(id_):
            yield f"instruction {id_}: the bank moved {moved.get(id_)}, we say {ours.get(id_)}"


def balances(cell: AttackedCell, payments: list[Any]) -> Iterator[str]:
    """Each account at the bank holds what our ledger says."""
    accounts = cell.ask(
        "payment", "SELECT account, owner_kind, balance_fen FROM account WHERE purpose = 'settled' AND state = 'open'"
    )
    told: dict[str, int] = {}
    for said in bank_books(cell).values():
        order = said["order"]
        if said["state"] == "confirmed":
            sign = 1 if order["kind"] == "debit" else -1
            told[order["account"]] = told.get(order["account"], 0) - sign * order["amount_fen"]
            told[order["merchant"]] = told.get(order["merchant"], 0) + sign * order["amount_fen"]
    for account in (row for row in accounts if row["owner_kind"] == "citizen"):
        if told.get(str(account["account"]), 0) != account["balance_fen"]:
            yield f"account {account['account']}: our ledger says {account['balance_fen']} fen since it was opened"
    paid: Counter[str] = Counter()
    for payment in payments:
        paid[str(payment["venue"])] += (
            payment["amount_fen"] - payment["refunded_fen"] if (payment["state"] == "confirmed") else 0
        )
    for venue, fen in paid.items():
        if told.get(venue, 0) != fen:
            yield f"venue {venue} was paid {fen} fen, its bank says {told.get(venue, 0)}"

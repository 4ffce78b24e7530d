"""A cell's NATS configuration: the rights of `chassis.nats_rights`, with the public halves of this cell's keys."""

from chassis.nats_rights import SYSTEM, server_config
from contracts.edges import FOLLOWS
from onecard_local.cells import Cell
from onecard_local.keys import nats_user, new_system_user
from onecard_local.ports import SERVICES


def nats_config(cell: Cell) -> str:
    """The text of the server's configuration; its addresses are given when it is started."""
    users = {service: nats_user(cell, service) for service in SERVICES}
    return server_config(FOLLOWS, users | {SYSTEM: new_system_user()}, cell=cell.code)

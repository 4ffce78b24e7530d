"""The process of card-svc: `python -m card_svc`."""

from card_svc.app import create_app
from card_svc.settings import Settings
from chassis.service import run_service
from chassis.settings import load

if __name__ == "__main__":
    run_service(create_app(load(Settings)))

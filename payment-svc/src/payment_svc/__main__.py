"""The process of payment-svc: `python -m payment_svc`."""

from chassis.service import run_service
from chassis.settings import load
from payment_svc.app import create_app
from payment_svc.settings import Settings

if __name__ == "__main__":
    run_service(create_app(load(Settings)))

"""The process of identity-svc: `python -m identity_svc`."""

from chassis.service import run_service
from chassis.settings import load
from identity_svc.app import create_app
from identity_svc.settings import Settings

if __name__ == "__main__":
    run_service(create_app(load(Settings)))

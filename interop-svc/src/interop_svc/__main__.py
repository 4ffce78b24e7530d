"""The process of interop-svc: `python -m interop_svc`."""

from chassis.service import run_service
from chassis.settings import load
from interop_svc.app import create_app
from interop_svc.settings import Settings

if __name__ == "__main__":
    run_service(create_app(load(Settings)))

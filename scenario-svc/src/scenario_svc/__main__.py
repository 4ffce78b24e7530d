"""The process of scenario-svc: `python -m scenario_svc`."""

from chassis.service import run_service
from chassis.settings import load
from scenario_svc.app import create_app
from scenario_svc.settings import Settings

if __name__ == "__main__":
    run_service(create_app(load(Settings)))

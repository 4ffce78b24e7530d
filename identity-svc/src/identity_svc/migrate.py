"""Brings identity-svc's database to its newest revision: `python -m identity_svc.migrate`."""

from chassis.migrations import migrate_from_environment

if __name__ == "__main__":
    migrate_from_environment("identity")

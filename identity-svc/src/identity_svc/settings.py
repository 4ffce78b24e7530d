"""What identity-svc is told by its environment."""

from pydantic import Field

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """The common settings, and the bounds of enrolment; outside systems: `register`, `sms`, `face`."""

    register_deadline_s: float = Field(2.0, gt=0, le=10)  # all attempts to ask the population register together
    face_deadline_s: float = Field(2.0, gt=0, le=2)  # twice in one request, within the gateway's 5 s
    sms_deadline_s: float = Field(3.0, gt=0, le=10)
    sms_every_s: float = Field(0.3, gt=0, le=10)  # how often the outbox of text messages is looked through
    enrolments_per_person_an_hour: int = Field(5, ge=1)  # of one document number, and of one phone
    enrolments_per_client_a_minute: int = Field(600, ge=1)  # bounds what the register and the SMS bill bear

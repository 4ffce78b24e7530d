"""What every process measures of itself, for Prometheus; labels are operation ids, never addresses or people."""

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

REQUESTS = Counter("onecard_requests_total", "Requests answered.", ("operation", "status"))
REQUEST_SECONDS = Histogram(
    "onecard_request_seconds",
    "Time from the request's first byte to the answer's last.",
    ("operation",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("onecard_requests_in_flight", "Requests being answered.")
OUTSIDE_CALLS = Counter("onecard_outside_calls_total", "Calls to the world outside the service.", ("system", "outcome"))


def exposition() -> tuple[bytes, str]:
    """Return the body and content type of `/metrics`."""
    return generate_latest(), CONTENT_TYPE_LATEST

"""What the gateway counts of itself, and its access log: operations, never addresses or people.

Invariant: the hot path only adds to numbers and appends to one buffer; words are made when somebody asks.
"""

import json
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FLUSH_BYTES: Final = 32_768
NO_OPERATION: Final = "none"


class Measures:
    """Counters of one process, shown to Prometheus through the registry of its second port."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        self.refused: dict[str, int] = {}  # code of the refusal -> how often
        self.gauges: dict[str, Callable[[], float]] = {}

    def request(self, operation: str, method: str, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (operation, method, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        buckets = self._buckets.get(operation)
        if buckets is None:
            buckets = self._buckets[operation] = [0] * (len(BUCKETS_S) + 1)
            self._sums[operation] = 0.0
        buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self._sums[operation] += seconds

    def refusal(self, code: str) -> None:
        """Count one refusal of the gateway itself; quotas, sheds and stale copies are among them."""
        self.refused[code] = self.refused.get(code, 0) + 1

    def register(self) -> None:
        """Show the numbers at `/metrics`."""
        REGISTRY.register(self)

    def collect(self) -> Iterator[Metric]:
        """Make the words for Prometheus."""
        requests = CounterMetricFamily(
            "onecard_gateway_requests", "Requests answered.", labels=("operation", "method", "status")
        )
        for (operation, method, status), count in list(self.requests.items()):
            requests.add_metric((operation, method, str(status)), count)
        yield requests
        seconds = HistogramMetricFamily(
            "onecard_gateway_request_seconds",
            "Time from head to the end of the answer.",
            labels=("operation",),
        )
        for operation, buckets in list(self._buckets.items()):
            seconds.add_metric((operation,), self._cumulative(buckets), self._sums[operation])
        yield seconds
        refused = CounterMetricFamily("onecard_gateway_refusals", "Refusals of the gateway itself.", labels=("code",))
        for code, count in list(self.refused.items()):
            refused.add_metric((code,), count)
        yield refused
        for name, read in self.gauges.items():
            yield GaugeMetricFamily(f"onecard_gateway_{name}", name.replace("_", " ").capitalize() + ".", value=read())

    @staticmethod
    def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
        total = 0
        shown: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), buckets, strict=True):
            total += count
            shown.append((bound, total))
        return shown


class AccessLog:
    """One JSON line a request on standard output, written in pieces; what can be cut short by a kill is 100 ms."""

    def __init__(self, *, on: bool, service: str = "gateway", descriptor: int = 1) -> None:
        self._on = on
        self._descriptor = descriptor
        self._prefix = '{"service":' + json.dumps(service) + ',"event":"request","time":'
        self._lines: list[str] = []
        self._bytes = 0

    def request(
        self, operation: str, method: str, status: int, seconds: float, client: str, request_id: str, trace: str
    ) -> None:
        """Note one request; none of the arguments comes from a person's data or may hold a quote."""
        if not self._on:
            return
        line = (
            f'{self._prefix}{time.time():.3f},"operation":"{operation}","method":"{method}","status":{status},'
            f'"ms":{seconds * 1000:.2f},"client":"{client}","request":"{request_id}","trace":"{trace}"}}\n'
        )
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what has been noted; a reader that has gone away is no reason to stop serving."""
        if not self._lines:
            return
        text = "".join(self._lines).encode()
        self._lines, self._bytes = [], 0
        try:
            while text:
                text = text[os.write(self._descriptor, text) :]
        except (BrokenPipeError, BlockingIOError):
            return

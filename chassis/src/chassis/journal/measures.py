"""The journal's measures for Prometheus, read from its status when they are asked for."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from chassis.journal.status import JournalStatus


class HasStatus(Protocol):
    """A `chassis.journal.journal.Journal`."""

    def status(self) -> JournalStatus: ...


class JournalCollector(Collector):
    """`REGISTRY.register(JournalCollector(journal))`."""

    def __init__(self, journal: HasStatus) -> None:
        self._journal = journal

    def describe(self) -> Iterator[Metric]:
        """Say nothing before the first status is there."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield everything that an operator is woken up for."""
        status = self._journal.status()
        leading = status.leading
        yield GaugeMetricFamily("onecard_journal_leading", "Whether this process leads.", value=float(leading))
        yield GaugeMetricFamily("onecard_journal_block", "The newest block sealed here.", value=status.block)
        yield GaugeMetricFamily(
            "onecard_journal_horizon_age_seconds", "How long open writers hold the horizon.", value=status.horizon_age_s
        )
        yield CounterMetricFamily("onecard_journal_fenced", "Terms lost to another process.", value=status.fenced)
        yield CounterMetricFamily("onecard_journal_holders_ended", "Sessions ended.", value=status.holders_ended)
        yield CounterMetricFamily("onecard_journal_nats_refusals", "What NATS denied.", value=status.nats_refusals)
        if not leading:
            return
        age = GaugeMetricFamily("onecard_journal_age_seconds", "Age of what is known of a source.", labels=["source"])
        well = GaugeMetricFamily("onecard_journal_following", "1 when a source is followed.", labels=["source"])
        aside = CounterMetricFamily("onecard_journal_set_aside", "Events set aside.", labels=["source"])
        wrong = CounterMetricFamily("onecard_journal_wrong_on_the_wire", "Messages thrown away.", labels=["source"])
        for source, follower in status.followers.items():
            age.add_metric([source], follower.age_s)
            well.add_metric([source], float(follower.state == "following"))
            aside.add_metric([source], follower.set_aside)
            wrong.add_metric([source], follower.wrong_on_the_wire)
        yield from (age, well, aside, wrong)

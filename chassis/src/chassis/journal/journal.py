"""The journal of one service: its leader, its followers and the answers it gives, wired together.

Invariant: numbering and following happen only in the process that holds the service's lease; every process of the
service answers reads. Neither PostgreSQL nor NATS has to be there for `start`, and `stop` is bounded.

    bus = Bus(settings.nats_url, name="card", seed=folder.nats_seed())
    workshop = Workshop(engine=engine, clock=clock, cell="330000", service="card", wake=lambda: journal.wake())
    journal = Journal(
        service="card",                                   # short name: subjects are journal.card.block, .head, .read
        cell="330000",                                    # the chain is that of "330000/card"
        direct_url=settings.database_direct_url,          # unpooled; the leader's own connection, autocommit
        workshop=workshop,                                # followers open their Work here
        bus=bus,
        keys=JournalKeys.from_folder(folder, follows={"identity"}),
        follows={"identity": apply_identity_events},      # exactly contracts.edges.FOLLOWS["card"]
    )
    await bus.start(); await journal.start()              # in the lifespan; both return at once
    …
    await journal.stop(); await bus.stop()                # at most about 5 s; releases the lease

A handler is `async def apply(work: Work, events: Sequence[Received]) -> None`. It gets events of one source in order,
each exactly once as far as its effects are in `work`'s transaction (the cursor moves in the same one), and it never
commits. Whatever it raises is the fault of an event: the batch is halved until that event stands alone and is set
aside with all later events of its key, and reads of the key must fail closed (`freshness`). Lost connections,
deadlocks and serialization failures count nothing and are tried again. Unknown topics are to be skipped by the
handler; it gets the whole journal. Erased events are not handed over.

In the service:  migrations `tables.create_journal(op.execute, "card_app")`;  age and unknown of what it shows
`freshness.read(connection, source, key)` or `freshness.columns(source, key)` inside its own query;  for operators
`journal.status()`, `operations.list_set_aside`, `operations.retry_set_aside`, `export.export_journal`;  for Prometheus
`REGISTRY.register(JournalCollector(journal))` of `chassis.journal.measures`.
"""

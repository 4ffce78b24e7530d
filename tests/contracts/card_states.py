"""The life of a card as a page: the table of steps that card-svc refuses by, drawn and written out."""

from card_svc.lifecycle.domain import STEPS, State, Step

WORDS: dict[Step, tuple[str, str]] = {
    Step.PRODUCE: ("制卡", "an operator orders a production batch"),
    Step.DISPATCH: ("寄送", "the card maker says that it was sent"),
    Step.HAND_OVER: ("领卡", "the counter gave it to its holder"),
    Step.ENABLE: ("启用", "its holder, verified by a face check"),
    Step.REPORT_LOSS: ("挂失", "its holder"),
    Step.RECOVER: ("解挂", "its holder, verified by a face check"),
}


def card_states_page() -> str:
    """Return docs/card-states.md."""
    edges = [(start, step, end) for step, (starts, end) in STEPS.items() for start in sorted(starts)]
    drawn = "\n".join(f"    {start} --> {end}: {step}" for start, step, end in edges)
    rows = "\n".join(
        f"| `{step}` {WORDS[step][0]} | {', '.join(f'`{s}`' for s in sorted(starts))} | `{end}` | {WORDS[step][1]} |"
        for step, (starts, end) in STEPS.items()
    )
    reached = {end for _, end in STEPS.values()} | {State.APPLIED}
    later = ", ".join(f"`{state}`" for state in State if state not in reached)
    return f"""# The life of a card

Written by `make contracts` from the table in `card_svc/lifecycle/domain.py`; any other step is refused with
`card-not-in-state`, which names the state that the card is in and those that the step starts from.

```mermaid
stateDiagram-v2
    [*] --> applied: apply
{drawn}
```

| step | from | to | who |
|---|---|---|---|
{rows}

States of the real card that no step leads to yet: {later}.
"""

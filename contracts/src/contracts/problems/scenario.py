"""Refusals of scenario-svc. What a citizen is shown at a gate says why, and what would make it work."""

from contracts.problems.problem import Problem, WhoActs


def _at_the_gate(
    code: str, status: int, cause: str, show_zh: str, show_en: str, *, who: WhoActs = "citizen", retry: bool = False
) -> Problem:
    return Problem(
        code=code, status=status, cause=cause, show_zh=show_zh, show_en=show_en, who_acts=who, safe_to_retry=retry
    )


PROBLEMS: tuple[Problem, ...] = (
    _at_the_gate(
        "scenario-unknown",
        422,
        "There is no such scenario in this cell's catalogue (GET /v1/scenarios).",
        "暂不支持该用卡场景。",
        "This way of using the card is not offered here.",
        who="caller",
    ),
    _at_the_gate(
        "venue-not-found", 404, "There is no such venue.", "未找到该场所。", "This place was not found.", who="caller"
    ),
    _at_the_gate(
        "not-a-terminal",
        409,
        "The client is not an active terminal, or identity-svc's news of it has not arrived yet.",
        "该设备不是有效终端。",
        "This device is not a registered terminal.",
        who="operator",
        retry=True,
    ),
    _at_the_gate(
        "terminal-not-placed",
        403,
        "The terminal stands in no venue (POST /v1/venues/{venue}/terminals), or is suspended.",
        "此设备尚未启用,请联系工作人员。",
        "This device is not in service. Please ask the staff.",
        who="operator",
    ),
    _at_the_gate(
        "scenario-not-licensed",
        403,
        "The venue is not licensed for this scenario.",
        "本场所未开通该用卡服务,请联系工作人员。",
        "This place does not offer that service. Please ask the staff.",
        who="operator",
    ),
    _at_the_gate(
        "amount-needed",
        422,
        "This scenario charges: `amount_fen` is needed.",
        "缺少金额。",
        "The amount is missing.",
        who="caller",
    ),
    _at_the_gate(
        "amount-not-allowed",
        422,
        "Nothing is charged in this scenario: leave `amount_fen` out.",
        "该场景不收费。",
        "Nothing is charged here.",
        who="caller",
    ),
    _at_the_gate(
        "amount-too-high",
        422,
        "One use of this scenario may not cost that much (`charge_max_fen`).",
        "金额超过单次上限,请分次支付或使用其他方式。",
        "The amount is over the limit for one use. Please pay in parts or another way.",
    ),
    _at_the_gate(
        "code-malformed",
        422,
        "The text is not a card code.",
        "未识别到社保卡码,请出示电子社保卡的二维码。",
        "This is not a card code. Please show the code of your social security card.",
    ),
    _at_the_gate(
        "code-forged",
        403,
        "The code's signature is not right.",
        "二维码无效,请打开电子社保卡重新出示。",
        "The code is not valid. Please open your card and show a fresh one.",
    ),
    _at_the_gate(
        "code-expired",
        410,
        "The code is older than 60 seconds, or made in the future: a clock may be wrong.",
        "二维码已过期,请刷新后重新出示。",
        "The code has expired. Please refresh it and show it again.",
    ),
    _at_the_gate(
        "code-already-used",
        409,
        "The code was redeemed before: one code, one use.",
        "二维码已使用过,请刷新后重新出示。",
        "This code has been used. Please refresh it and show it again.",
    ),
    _at_the_gate(
        "code-of-another-cell",
        403,
        "The code was made by a cell that this one does not trust.",
        "暂不支持外省社保卡码。",
        "Cards of that province are not accepted here yet.",
        who="nobody",
    ),
    _at_the_gate(
        "card-not-enabled",
        403,
        "The card is not enabled yet.",
        "社保卡尚未启用,请先在手机上启用。",
        "The card is not enabled yet. Please enable it on your phone first.",
    ),
    _at_the_gate(
        "card-reported-lost",
        403,
        "The card was reported lost.",
        "社保卡已挂失。找回后可在手机上解除挂失。",
        "The card was reported lost. If you have found it, recover it on your phone.",
    ),
    _at_the_gate(
        "card-ended",
        403,
        "The card is locked, expired or cancelled.",
        "社保卡已停用,请到服务网点办理。",
        "The card is no longer valid. Please visit a service counter.",
    ),
    _at_the_gate(
        "card-level-too-low",
        403,
        "This scenario needs a card with a linked bank account (level 2).",
        "该服务需要已开通银行账户的社保卡,请到网点或合作银行开通。",
        "This needs a card with a linked bank account. A counter or a partner bank can link one.",
    ),
    _at_the_gate(
        "card-state-unknown",
        503,
        "News of this card could not be applied, so its state is not known; it is being tried again.",
        "暂时无法确认社保卡状态,请稍后再试或联系工作人员。",
        "The state of this card cannot be confirmed right now. Please try again soon or ask the staff.",
        who="operator",
        retry=True,
    ),
    _at_the_gate(
        "use-not-found",
        404,
        "There is no such use for this caller.",
        "未找到该记录。",
        "This was not found.",
        who="caller",
    ),
    _at_the_gate(
        "use-not-refundable",
        409,
        "Only a use that was accepted and charged can be refunded.",
        "该笔消费不能退款。",
        "This payment cannot be refunded.",
        who="nobody",
    ),
    _at_the_gate(
        "refund-too-high",
        409,
        "More would be refunded than remains of the charge.",
        "退款金额超过可退金额。",
        "The refund is more than what is left of the payment.",
        who="caller",
    ),
)

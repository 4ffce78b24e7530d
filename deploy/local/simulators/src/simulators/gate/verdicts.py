"""From the platform's answer, or our own look at the code, to the large words that a gate shows.

Invariant: only a use that the platform has accepted opens the gate; anything not understood keeps it shut.
"""

from dataclasses import dataclass
from typing import Literal

from contracts.card_code import CardCodeError
from simulators.gate.platform import Answer

Light = Literal["open", "wait", "shut"]


@dataclass(frozen=True)
class Verdict:
    """What the gate shows."""

    light: Light
    zh: str
    en: str
    remedy_zh: str = ""
    remedy_en: str = ""
    use_id: str = ""
    amount_fen: int | None = None


CODE_WORDS = {
    "code-expired": ("卡码已过期", "This code has expired", "请刷新后出示新的卡码", "Show a fresh code"),
    "code-not-yet-valid": ("闸机时间不准", "This gate's clock is wrong", "请找工作人员", "Please ask the staff"),
    "issuer-unknown": ("不认识的发卡地", "Unknown issuer", "请找工作人员", "Please ask the staff"),
    "code-forged": ("卡码无效", "This code is not genuine", "请从电子社保卡出示", "Show it from your own e-card"),
}
CODE_UNREADABLE = ("读不出卡码", "This is not a card code", "请对准二维码再试一次", "Hold the code to the camera again")

SILENT = Verdict(
    "shut", "平台暂时没有应答", "The platform does not answer", "请稍候再试, 卡码未使用", "Try again in a moment"
)
NOT_REGISTERED = Verdict(
    "shut", "本闸机尚未登记", "This gate is not registered yet", "请运行沙箱登记程序", "Run the sandbox registration"
)
AMOUNT_UNREADABLE = Verdict("shut", "金额不对", "The amount is not right", "例如 12.50", "For example 12.50")


def of_code(refused: CardCodeError) -> Verdict:
    """Say why a code was not even sent on."""
    zh, en, remedy_zh, remedy_en = CODE_WORDS.get(refused.reason, CODE_UNREADABLE)
    return Verdict("shut", zh, en, remedy_zh, remedy_en)


def of_answer(answer: Answer) -> Verdict:
    """Read a use, or the problem that came instead of one; both say in `show` what the citizen is to see."""
    body, done = answer.body, answer.status in (200, 201)
    use_id, amount_fen = _text(body, "use"), body.get("amount_fen")
    amount_fen = amount_fen if isinstance(amount_fen, int) else None
    zh, en = _words(body)
    if done and body.get("state") == "accepted":
        return Verdict("open", zh or "请通行", en or "Welcome", use_id=use_id, amount_fen=amount_fen)
    if done and body.get("state") == "open" and use_id:
        return Verdict("wait", zh or "正在结算", en or "Being settled", use_id=use_id, amount_fen=amount_fen)
    # A use whose charge was refused says why in its refusal; a problem says it itself.
    refused_zh, refused_en = _words(body.get("refusal"))
    return Verdict("shut", refused_zh or zh or "不能通行", refused_en or en or "Refused", use_id=use_id)


def _words(body: object) -> tuple[str, str]:
    show = body.get("show") if isinstance(body, dict) else None
    return _text(show, "zh"), _text(show, "en")


def _text(body: object, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) else ""

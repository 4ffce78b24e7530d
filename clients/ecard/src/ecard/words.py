"""What a citizen reads: the states of cards and uses in plain words, amounts in yuan, times of the business day."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("Asia/Shanghai")

CARD_STATES: Final = {
    "applied": ("已申请，等待制卡", "Applied for, waiting to be made"),
    "in_production": ("制卡中", "Being made"),
    "dispatched": ("已寄往服务网点，请持身份证领取", "At the counter. Please collect it with your ID"),
    "dormant": ("已领取，尚未启用", "Collected, not enabled yet"),
    "active": ("正常使用", "Active"),
    "temporarily_lost": ("已挂失", "Reported lost"),
    "lost": ("已挂失", "Lost"),
    "locked": ("已锁定", "Locked"),
    "expired": ("已过期", "Expired"),
    "cancelled": ("已注销", "Cancelled"),
}
USE_STATES: Final = {
    "accepted": ("成功", "Accepted"),
    "open": ("正在结算", "Being settled"),
    "refused": ("未成功", "Refused"),
    "cancelled": ("已取消", "Cancelled"),
}


def yuan(amount_fen: int) -> str:
    """Write whole fen as yuan: 1200 -> ¥12.00."""
    return f"¥{amount_fen // 100}.{amount_fen % 100:02}"


def local_time(moment: str) -> str:
    """Write an RFC 3339 moment as people of the business zone read it."""
    return datetime.fromisoformat(moment).astimezone(ZONE).strftime("%Y-%m-%d %H:%M")


def local_clock(moment: str) -> str:
    """Write an RFC 3339 moment as a clock of the business zone shows it."""
    return datetime.fromisoformat(moment).astimezone(ZONE).strftime("%H:%M:%S")

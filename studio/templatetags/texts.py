"""Texts, times and amounts as pages show them."""

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from studio import markdown as _markdown

register = template.Library()

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as harmless HTML."""
    return _markdown.render(text)


@register.filter
def duration(seconds: float | None) -> str:
    """`4.2 s`, `3 min 04 s`, `2 h 05 min`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


@register.filter
def since(at: datetime | None) -> SafeString | str:
    """How long ago, in the largest unit; the page's clock keeps it true."""
    if at is None:
        return ""
    return _time(at, "data-since", _age((timezone.now() - at).total_seconds()))


def _time(at: datetime, kind: str, words: str) -> SafeString:
    """A moment in words that the page's clock keeps true, by `kind`; pointed at, it says the moment itself."""
    utc = _utc(at)
    return format_html(
        '<time datetime="{}" title="{}" {}>{}</time>',
        utc.isoformat(timespec="seconds"),
        f"{utc:%Y-%m-%d %H:%M:%S} UTC",
        kind,
        words,
    )


def _utc(at: datetime) -> datetime:
    return at.astimezone(timezone.get_default_timezone())


def _age(seconds: float) -> str:
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """The date and time themselves."""
    if at is None:
        return ""
    return format_html(
        '<time datetime="{}" data-at>{}</time>', at.isoformat(timespec="seconds"), f"{at:%Y-%m-%d %H:%M:%S}"
    )


@register.filter
def clock(at: datetime | None) -> SafeString | str:
    """The time of a moment that is near, `14:05`; the page's clock shows it in the reader's zone."""
    if at is None:
        return ""
    return _time(at, "data-clock", f"{_utc(at):%H:%M}")


@register.filter
def dollars(amount: Any) -> str:
    """`$0.14`; small amounts keep their digits, and nothing costs nothing: empty."""
    amount = float(amount or 0)
    if not amount:
        return ""
    return f"${amount:.2f}" if amount >= 0.01 else f"${amount:.4f}"


@register.filter
def amount(number: float | None) -> str:
    """`412`, `18 k`, `1.2 M`."""
    number = number or 0
    if number < 1000:
        return str(int(number))
    return f"{number / 1000:.0f} k" if number < 1_000_000 else f"{number / 1_000_000:.1f} M"


@register.filter
def initials(user: Any) -> str:
    """Two letters for a person."""
    names = [name for name in (user.first_name, user.last_name) if name] or [user.get_username()]
    return "".join(name[0] for name in names) if len(names) > 1 else names[0][:2]

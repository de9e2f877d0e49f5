"""What Studio keeps for others and has to read again: sealed by a key that is not in the database."""

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from studio.errors import Conflict


def seal(text: str) -> str:
    """The text as the database keeps it. Raises `Conflict` where the key is none."""
    return _vault().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """The text again. Raises `Conflict` where it was sealed by another key."""
    try:
        return _vault().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise _lost("was sealed with another key than the one that Studio has") from error


def _vault() -> Fernet:
    try:
        return Fernet(settings.STUDIO_VAULT_KEY.strip())
    except ValueError as error:
        raise _lost("cannot be read: Studio's vault key is damaged") from error


def _lost(why: str) -> Conflict:
    return Conflict(
        f"It {why}. Put the vault key back (vault_key of the data folder, or STUDIO_VAULT_KEY), or set the value again.",
        code="vault_key",
    )

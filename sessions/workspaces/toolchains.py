"""What of the person's own tools an agent may use: the folders on PATH, and what those below the home need to work."""

import os
import pwd
import shutil
import sys
import sysconfig
from pathlib import Path

from django.conf import settings

# Below the home these are whole installations without credentials in them (unlike ~/.cargo, ~/.docker or ~/.fly).
ROOTS = [
    ".asdf",
    ".bun",
    ".deno",
    ".elan",
    ".ghcup",
    ".goenv",
    ".jenv",
    ".juliaup",
    ".nodenv",
    ".nvm",
    ".nix-profile",
    ".opam",
    ".pyenv",
    ".rbenv",
    ".rustup",
    ".rvm",
    ".sdkman",
    ".volta",
]
# Programs in ~/.local/bin are links into these.
LOCAL = ["uv/python", "uv/tools", "pipx", "pnpm", "mise/installs", "fnm"]
# Tools that look for themselves in $HOME, which is another one in the sandbox.
VARIABLES = {
    "RUSTUP_HOME": ".rustup",
    "PYENV_ROOT": ".pyenv",
    "NVM_DIR": ".nvm",
    "SDKMAN_DIR": ".sdkman",
    "VOLTA_HOME": ".volta",
}
SYSTEM = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def homes() -> list[Path]:
    """The home of Studio's user: what the account says and what the environment says."""
    found = [Path(os.environ.get("HOME", "") or "/")]
    try:
        found.append(Path(pwd.getpwuid(os.getuid()).pw_dir))
    except KeyError:  # an account without an entry, as in some containers
        pass
    return [home for home in dict.fromkeys(home.resolve() for home in found) if home != Path("/")]


def search_path(denied: list[Path]) -> list[Path]:
    """PATH for the agent: Studio's own without Studio's virtual environment, its folder and what lies in `denied`."""
    own = [settings.BASE_DIR, settings.STUDIO_HOME, *denied]
    if sys.prefix != sys.base_prefix:
        own.append(Path(sys.prefix))
    own = list(dict.fromkeys([*own, *(folder.resolve() for folder in own)]))
    entries = [*os.environ.get("PATH", "").split(os.pathsep), *SYSTEM]
    found = [Path(entry) for entry in dict.fromkeys(entries) if entry.startswith("/")]
    return [
        entry
        for entry in found
        if entry.is_dir() and not _lies_in(entry, own) and not _lies_in(entry.resolve(), own)
    ]


def roots(entries: list[Path]) -> list[Path]:
    """The folders that the programs in these PATH entries need, for those below a home; never a whole home."""
    found: list[Path] = []
    for home in homes():
        for entry in entries:
            if _lies_in(entry, [home]) or _lies_in(entry.resolve(), [home]):
                found += _roots_of(entry, home)
    return [root for root in dict.fromkeys(found) if root.exists()]


def _roots_of(entry: Path, home: Path) -> list[Path]:
    inner = entry if entry.is_relative_to(home) else entry.resolve()
    top = inner.relative_to(home).parts[0] if inner != home else ""
    if top in ROOTS:
        return [home / top]
    if top == ".cargo":
        return [entry, home / ".rustup"]
    if top == ".local":
        return [entry, *(home / ".local/share" / name for name in LOCAL)]
    prefix = entry.parent
    is_prefix = (prefix / "lib").is_dir() or (prefix / "pyvenv.cfg").is_file()
    return [prefix] if is_prefix and prefix.resolve() != home else [entry] if inner != home else []


def variables(visible: list[Path]) -> dict[str, str]:
    """Where tools find themselves, for those whose root is visible."""
    return {
        name: str(home / folder)
        for home in homes()
        for name, folder in VARIABLES.items()
        if home / folder in visible
    }


def ripgrep() -> Path | None:
    """The system's ripgrep, else the one that was installed with Studio; the agent's search wants it."""
    installed = Path(sysconfig.get_path("scripts")) / "rg"
    found = shutil.which("rg", path=os.pathsep.join(SYSTEM)) or (
        str(installed) if installed.is_file() else shutil.which("rg")
    )
    return Path(found).resolve() if found else None


def _lies_in(path: Path, folders: list[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)

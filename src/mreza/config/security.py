"""Settings of trust: where keys live and how long they serve."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from mreza.config.base import Config, Seconds

STATE_VARIABLE = "MREZA_STATE"
"Environment variable with the state directory; the same as `MREZA_SECURITY__STATE`."


class SecurityConfig(Config):
    """The state directory, and the life of sealing keys."""

    state: Path | None = None
    """State directory.
    Default: `MREZA_STATE`, else the user's data directory; see `state_directory`."""
    mesh: Annotated[str, Field(min_length=1, max_length=63)] = "mesh"
    """Name of the mesh that is created on first use.
    Default: a label only; the random mesh id decides."""
    prekey_lifetime_s: Seconds = 3600.0
    "Seconds until a new prekey; two are kept. Default: forward secrecy begins after 2 h at most."
    session_lifetime_s: Seconds = 3600.0
    "Seconds until a new sealing session. Default: as long as a prekey."
    session_envelopes: Annotated[int, Field(gt=0, le=2**23)] = 2**23
    """Envelopes until a new sealing session.
    Default and maximum: well below the 2^32 of NIST SP 800-38D for one AES-GCM key."""

    @field_validator("state")
    @classmethod
    def _home(cls, state: Path | None) -> Path | None:
        return None if state is None else state.expanduser()

    def state_directory(self, env: Mapping[str, str] | None = None) -> Path:
        """`state`, else MREZA_STATE of `env` (None: the process's), else the user's data folder."""
        return (
            default_state_dir(os.environ if env is None else env)
            if self.state is None
            else self.state
        )


def default_state_dir(env: Mapping[str, str], *, platform: str = sys.platform) -> Path:
    """MREZA_STATE, else the folder where this system keeps a user's data."""
    if named := env.get(STATE_VARIABLE):
        return Path(named).expanduser()
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "mreza"
    if platform == "win32":
        local = env.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "mreza"
    # XDG Base Directory Specification 0.8: a relative path in the variable is invalid, and ignored.
    data = Path(env.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else Path.home() / ".local" / "share") / "mreza"

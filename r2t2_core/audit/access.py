"""Who may do what: four roles, tokens of which only the hash is kept.

Off by default, for one machine and one person: then whoever runs the program is `local` and may
do everything. Where it is on, every call is checked against the token as it is now, so that a
revoked one stops at once.
"""

from __future__ import annotations

import getpass
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from r2t2_core.audit.entries import ACCESS, AccessBody
from r2t2_core.audit.log import AuditLog, Draft, new_id, now
from r2t2_core.audit.schema import tokens
from r2t2_core.errors import AccessError
from r2t2_core.i18n import N_
from r2t2_core.settings import Settings

Permission = Literal[
    "answer", "evaluate", "read", "replay", "export", "sign_off", "override", "correct",
    "anchor", "erase", "promote", "manage",
]  # fmt: skip

LOCAL = "local"
"""The role where roles are off."""

_VIEWER: frozenset[Permission] = frozenset({"answer", "read"})
_ENGINEER: frozenset[Permission] = _VIEWER | {"evaluate", "replay", "export", "promote"}
_AUDITOR: frozenset[Permission] = _VIEWER | {
    "replay", "export", "sign_off", "override", "correct", "anchor",
}  # fmt: skip

ROLES: Mapping[str, frozenset[Permission]] = {
    "viewer": _VIEWER,
    "engineer": _ENGINEER,
    "auditor": _AUDITOR,
    "admin": _ENGINEER | _AUDITOR | {"erase", "manage"},
}
"""Role → what it may do. Engineers do not sign off what they built; auditors change nothing."""

SHOW_TOKEN = N_("Show a token: R2T2_TOKEN on the command line, the field in the app's sidebar.")


@dataclass(frozen=True)
class Principal:
    """Who asks.

    Attributes
    ----------
    name, role : str
    session : str
        Tells one sitting of a person from another.
    token_hash : str or None
        None where roles are off.
    """

    name: str
    role: str
    session: str
    token_hash: str | None = None


@dataclass(frozen=True)
class TokenRecord:
    """A token, as its administrator sees it: the token itself is nowhere."""

    name: str
    role: str
    created_at: str
    revoked_at: str | None


def _hash(token: str) -> str:
    # A token has 256 random bits: a plain hash of it cannot be searched.
    return hashlib.sha256(token.encode()).hexdigest()


class Access:
    """Identifies who asks and checks what they may do.

    Parameters
    ----------
    settings : Settings
    log : AuditLog
        Tokens live in its database; changes of them are entries.
    """

    def __init__(self, settings: Settings, log: AuditLog) -> None:
        self.is_on = settings.auth != "off"
        self._own_token = settings.token
        self._log = log

    def identify(self, token: str | None, session: str | None = None) -> Principal:
        """Return who a token belongs to; where roles are off, the machine's user.

        Raises
        ------
        AccessError
            The token is missing, unknown or revoked.
        """
        session = session or new_id()[:12]
        if not self.is_on:
            return Principal(_user(), LOCAL, session)
        if not token:
            raise AccessError(N_("This installation asks who you are."), SHOW_TOKEN)
        record = self._find(_hash(token))
        if record is None:
            raise AccessError(N_("This token is unknown or revoked."), SHOW_TOKEN)
        return Principal(record.name, record.role, session, _hash(token))

    def caller(self) -> Principal:
        """Return who uses the command line.

        Raises
        ------
        AccessError
            Roles are on, and R2T2_TOKEN holds no valid token.
        """
        return self.identify(self._own_token)

    def require(self, principal: Principal, permission: Permission) -> None:
        """Check that somebody may do something, now.

        Raises
        ------
        AccessError
            They may not.
        """
        if not self.is_on:
            return
        record = self._find(principal.token_hash) if principal.token_hash else None
        if record is None or (record.name, record.role) != (principal.name, principal.role):
            raise AccessError(N_("This token is unknown or revoked."), SHOW_TOKEN)
        if not self.may(principal, permission):
            raise AccessError(
                N_("The role {role} may not do this."),
                N_("Ask an administrator."),
                role=principal.role,
            )

    def may(self, principal: Principal, permission: Permission) -> bool:
        """Tell what to offer somebody; `require` is what decides."""
        return not self.is_on or permission in ROLES.get(principal.role, frozenset())

    def add_token(self, principal: Principal | None, name: str, role: str) -> str:
        """Make a token and return it; it is shown this once.

        Parameters
        ----------
        principal : Principal or None
            None makes the first administrator, where there is none yet.

        Raises
        ------
        AccessError
            The role is unknown, the name is taken, or the caller may not do this.
        """
        if role not in ROLES:
            raise AccessError(
                N_("There is no role called {role}."), N_("Choose one of: {roles}."),
                role=role, roles=", ".join(ROLES),
            )  # fmt: skip
        is_first = self.is_on and not self._has_admin()
        if not is_first or role != "admin":
            self._require_manager(principal)
        if any(record.name == name and not record.revoked_at for record in self.tokens()):
            raise AccessError(N_("{name} has a token already."), N_("Revoke it first."), name=name)
        self._note(principal, "made", name, role)
        token = secrets.token_urlsafe(32)
        row = {"token_hash": _hash(token), "name": name, "role": role, "created_at": now()}

        def insert(connection: Connection) -> None:
            # Tried again after a lost connection, it must not fail on its own row.
            connection.execute(tokens.delete().where(tokens.c.token_hash == row["token_hash"]))
            connection.execute(tokens.insert().values(**row))

        self._log.database.write(insert)
        return token

    def revoke(self, principal: Principal | None, name: str) -> None:
        """Revoke somebody's tokens.

        Raises
        ------
        AccessError
            There is none, or the caller may not do this.
        """
        self._require_manager(principal)
        known = [record for record in self.tokens() if record.name == name]
        valid = [record for record in known if not record.revoked_at]
        if not valid:
            raise AccessError(N_("{name} has no token."), name=name)
        moment = now()
        self._log.database.write(
            lambda connection: connection.execute(
                tokens.update()
                .where(tokens.c.name == name, tokens.c.revoked_at.is_(None))
                .values(revoked_at=moment)
            )
        )
        self._note(principal, "revoked", name, valid[0].role)

    def tokens(self) -> list[TokenRecord]:
        """Return all tokens, the oldest first."""
        query = sa.select(
            tokens.c.name, tokens.c.role, tokens.c.created_at, tokens.c.revoked_at
        ).order_by(tokens.c.created_at)
        with self._log.database.read() as connection:
            return [TokenRecord(*row) for row in connection.execute(query)]

    def _require_manager(self, principal: Principal | None) -> None:
        if not self.is_on:
            return
        if principal is None:
            raise AccessError(N_("This installation asks who you are."), SHOW_TOKEN)
        self.require(principal, "manage")

    def _has_admin(self) -> bool:
        return any(record.role == "admin" and not record.revoked_at for record in self.tokens())

    def _find(self, token_hash: str) -> TokenRecord | None:
        query = sa.select(
            tokens.c.name, tokens.c.role, tokens.c.created_at, tokens.c.revoked_at
        ).where(tokens.c.token_hash == token_hash, tokens.c.revoked_at.is_(None))
        with self._log.database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else TokenRecord(*row)

    def _note(
        self, principal: Principal | None, action: Literal["made", "revoked"], name: str, role: str
    ) -> None:
        who = principal or Principal(_user(), LOCAL, "")
        body = AccessBody(action=action, name=name, role=role)
        self._log.append(
            Draft(ACCESS, body.model_dump(mode="json"), who.name, who.role, who.session)
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run under a number without a name.
        return "unknown"

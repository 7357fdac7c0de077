"""Roles of least privilege: who may migrate, who may write, who may only read."""

from polymarket_bot.storage.schema.roles.granting import GrantReport, grant
from polymarket_bot.storage.schema.roles.ownership import act_as_owner
from polymarket_bot.storage.schema.roles.rights import Role

__all__ = ["GrantReport", "Role", "act_as_owner", "grant"]

"""What all models have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StorageModel(BaseModel):
    """A row of a table; its fields are the table's columns, in order.

    A wrong value raises `pydantic.ValidationError`, which names the field, when a model is
    built and when a field is assigned. `model_validate(values, context={"strict_precision":
    True})` also refuses a number that REAL cannot hold to its last digit.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, defer_build=True)

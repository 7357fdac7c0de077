"""Pydantic models, one for each table: their fields are the table's columns."""

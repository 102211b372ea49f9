"""Sections of the report page, one module each."""

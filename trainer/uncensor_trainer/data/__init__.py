"""Rows, templates, tokens and the token store."""

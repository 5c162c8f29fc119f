"""Judgement of files, offline: documents with the lines they stand in, the catalogue's rules, reports."""

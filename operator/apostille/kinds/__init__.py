"""The two kinds: their types, their schema, and the reading of objects."""

"""What is generated from the code and committed: kinds, reference pages. A module a family; each maps paths to texts."""

"""What is generated from the code and committed: kinds, reference pages. A module a family, mapping paths to texts."""

"""The catalogue of rules and the checks that hold for every relying party."""

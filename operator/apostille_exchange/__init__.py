"""The exchange sidecar: assertion in, short-lived credential out. Standard library only."""

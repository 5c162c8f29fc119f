"""Delivery: credential files and their formats."""

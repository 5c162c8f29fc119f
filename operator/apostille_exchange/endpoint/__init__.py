"""Delivery over HTTP on loopback, in the shapes that SDKs know."""

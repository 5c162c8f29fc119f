"""OAuth token services: RFC 8693 and RFC 7523, and services with rules of their own (cloud-trust §13)."""

"""Everything that talks to the API server. Bodies are raw JSON; the official client only finds the server."""

"""An application whose first agent fails until somebody repairs its step."""

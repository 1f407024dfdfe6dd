"""An application whose agents misbehave, for tests that look at what people see of it."""

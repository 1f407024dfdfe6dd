"""taskiq: a task that queues the four others and waits for them."""

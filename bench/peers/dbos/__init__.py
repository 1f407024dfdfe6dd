"""DBOS on PostgreSQL: a workflow with steps in the worker's own process, handed over by a queue."""

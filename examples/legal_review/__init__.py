"""The review of contracts: an example of a workflow with several agents and people."""

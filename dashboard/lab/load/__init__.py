"""The work that an experiment interrupts: a workflow type and its agents, installed only in the lab."""

"""Agents: handlers of task types, and the workers that run them."""

from agents.handlers import agent
from agents.task import Task
from agents.worker import AgentWorker

__all__ = ["AgentWorker", "Task", "agent"]

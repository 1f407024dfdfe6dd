"""The console: history, people, pages, API and command line."""

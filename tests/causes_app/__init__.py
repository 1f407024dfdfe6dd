"""An application whose agent fails for three causes until a file says that it is repaired."""

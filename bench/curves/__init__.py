"""How speed depends on size: one curve for each thing that grows in production."""

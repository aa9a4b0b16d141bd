"""A request becomes a plan: the candidates that may answer it, in order, and why others may not."""

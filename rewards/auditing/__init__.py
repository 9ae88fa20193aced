"""Is a reward fit for a data set and a prompt? Golds, rewrites, near misses and tricks, and a verifier's contract."""

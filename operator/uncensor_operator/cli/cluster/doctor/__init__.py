"""`uncensor doctor`: one module a subject, each a function from a cluster to findings."""

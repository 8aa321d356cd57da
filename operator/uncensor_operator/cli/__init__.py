"""`uncensor`, which kubectl also finds as `kubectl uncensor`."""

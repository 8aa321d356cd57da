"""The pipeline on this machine: the same plan as on a cluster, subprocesses instead of Jobs."""

"""What can go wrong with the test cluster, as sentences for people."""


class ClusterError(Exception):
    """The cluster cannot do what was asked; the message says what was found and what to do."""

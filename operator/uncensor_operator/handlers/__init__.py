"""What drives the passes: kopf's watches, the work queue, the clock."""

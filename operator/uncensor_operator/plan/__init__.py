"""Pure decisions: what a manifest means, which stages it takes, what is still to do."""

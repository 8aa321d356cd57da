"""The stages of a run: what happens inside one Job, one PyTorchJob, or one local subprocess."""

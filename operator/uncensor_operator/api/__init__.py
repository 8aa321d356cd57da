"""The API: types, reading of manifests, and what is generated from the types."""

"""Everything that talks to the API server: gathering what is, carrying out what is planned."""

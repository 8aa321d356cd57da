"""The commands that speak with a cluster; the client library is imported by the first request."""

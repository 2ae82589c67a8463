"""The hub's HTTP API: one table of resources gives the routes and the OpenAPI document alike."""

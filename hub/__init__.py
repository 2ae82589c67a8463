"""The province: ingest, store, metrics, API and pages."""

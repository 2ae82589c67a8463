"""The listings of the API, one a file: its item, its parameters, its query, and `RESOURCE`."""

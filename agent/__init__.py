"""The resident of the box: it watches links and health and says in one sentence what is wrong."""

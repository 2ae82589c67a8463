"""The province's pages: plain HTML that works without a script, Vietnamese first."""

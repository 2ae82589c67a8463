"""Ratings as they are published: sums of votes from which no single vote can be read (docs/ratings.md)."""

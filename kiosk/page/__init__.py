"""The touch page: for tablets, all-in-ones and phones, drawn from the same `Picture` as the text screen."""

"""Speed: ratios of unitf and a peer, measured alternately in one run."""

"""Speed: unitf and a peer, interleaved in one run, as ratios."""

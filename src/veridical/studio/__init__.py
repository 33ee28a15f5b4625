"""Veridical in the browser, for people who do not live in a terminal: data, training, samples, audit, review, edits."""

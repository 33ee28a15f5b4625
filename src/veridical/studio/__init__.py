"""Veridical in the browser, for people who do not live in a terminal: expert review, and edits with a painted mask."""

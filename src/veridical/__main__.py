"""``python -m veridical`` is the command ``veridical``."""

from veridical.cli import main

main()

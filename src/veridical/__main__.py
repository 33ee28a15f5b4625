"""``python -m veridical`` is the command ``veridical``."""

from .cli import main

main()

"""veridical: train, run and validate image generators on scientific images.

The public functions are those of ``__init__.pyi``; each is loaded when it is first used, so that ``import veridical`` stays
fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""``python -m phonic_fsm`` is ``phonic-fsm``."""

from .cli import main

main()

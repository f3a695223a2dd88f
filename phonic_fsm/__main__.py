"""``python -m phonic_fsm`` is ``phonic-fsm``."""

from ._cli import main

main()

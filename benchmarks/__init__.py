"""What the package costs, beside ``livekit-plugins-phonic`` and beside what nobody can do without.

``server`` is the other side, in a process of its own; ``contestants`` are what is measured, each
in a process of its own too, with the packages from ``models``; ``measuring`` runs them in turn,
round by round. The benchmarks are ``chunks`` (one chunk in, one frame out), ``sessions`` (to start
one, in a new process by ``cold``, to keep one, to hand one over), ``many`` (hundreds at once),
``rooms`` (a whole job: ``room_agent`` is the worker, ``room_phonic`` a Phonic that listens, and
``turn_end`` is what both do with the caller's voice), ``hostile`` (the worst single messages),
``machine`` (without a socket) and ``profiling`` (where the time goes). ``report`` makes the figures
in ``docs/performance.md``. None of this is installed with the package.
"""

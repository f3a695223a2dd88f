"""``python owner.py PLACE begin|take_over NAME ROOM``: a process that owns a journal.

It prints the lease's number, or the name of the error. Then it carries out the methods that come on
stdin, a line each with an argument, and prints ``done`` or the error's name.
"""

from __future__ import annotations

import os
import sys
import time

from phonic_fsm.durable import JournalError, _store, journals
from phonic_fsm.durable._process import this_process

# On a busy machine a test may take longer than a process that lasts.
_store.LASTING_SECONDS = 3600.0


def main(place: str, how: str, name: str, room: str) -> None:
    store = journals(place)
    holder = this_process(room=room, job="job", agent_name="lost", metadata="from the first job")
    journal = getattr(store, how)(name, holder)
    print(journal.number, flush=True)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        try:
            if command == "fork":
                # As a tool of an agent may do. The child lives longer than this process.
                if os.fork() == 0:
                    print(f"forked {os.getpid()}", flush=True)
                    time.sleep(float(argument))
                    os._exit(0)
                continue
            if command == "append":
                journal.append(f"{argument}\n".encode())
            elif command == "cut":
                os.write(journal._file, argument.encode())  # what a kill in mid-write leaves
            else:
                getattr(journal, command)()
            print("done", flush=True)
        except JournalError as error:
            print(type(error).__name__, flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except JournalError as error:
        print(type(error).__name__, flush=True)

"""A caller for an agent in a LiveKit room: says some lines, and prints what both sides said.

::

    LIVEKIT_URL=... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=... \\
        python examples/call.py "What is the weather like in Paris?" "Thank you."

The caller's voice has the sound and the rhythm of speech, but no words in it. The simulator takes
it for the words of its scenario; to Phonic itself it means nothing.
"""

from __future__ import annotations

import asyncio
import sys

from phonic_fsm.testing import RoomCall


async def main(lines: list[str]) -> None:
    async with RoomCall() as call:
        await call.until_answer()  # the greeting
        await call.until_quiet()
        for line in lines:
            await call.say(line)
            await call.until_answer()
            print(f"answered after {call.latency:.2f} s")
            await call.until_quiet()
    for transcript in call.transcripts:
        print(f"{transcript.identity}: {transcript.text}")


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1:]))
    except (TimeoutError, ValueError) as error:
        sys.exit(str(error))

"""A worker whose jobs are those of the contestant that ``BENCH_CONTESTANT`` names.

The bare job is what nobody can do without in a room: it hears the caller and plays an answer, in
frames that are as long as those of LiveKit's ``AgentSession``, and says when it heard.
"""

from __future__ import annotations

import asyncio
import importlib
import os

from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobExecutorType, cli
from livekit.agents.types import ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID, TOPIC_TRANSCRIPTION
from livekit.agents.voice.room_io import AudioInputOptions, RoomOptions

from benchmarks.models import model
from benchmarks.turn_end import RATE, TurnEnd, answer

CONTESTANT = os.environ["BENCH_CONTESTANT"]
HEARD_MS = int(os.environ["BENCH_FRAME_MS"])
"""How long the frames are in which the caller is heard."""
PLAYED_MS = 50
"""How long those are that LiveKit's output plays."""

if CONTESTANT == "plugin":
    # LiveKit takes plugins on the main thread only, and jobs may have another one.
    importlib.import_module("livekit.plugins.phonic")

server = AgentServer(job_executor_type=JobExecutorType[os.environ["BENCH_EXECUTOR"]])


class Bare:
    """Hears and plays."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
        self._answer = b"".join(pcm for pcm, _ in answer())
        self._answers = 0

    async def run(self, ctx: JobContext) -> None:
        heard: asyncio.Future[rtc.Track] = asyncio.get_running_loop().create_future()
        self._room.on("track_subscribed", lambda track, *_: heard.set_result(track))
        await ctx.connect()
        track = rtc.LocalAudioTrack.create_audio_track("bare", self._source)
        microphone = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self._room.local_participant.publish_track(track, microphone)
        turn = TurnEnd()
        stream = rtc.AudioStream(
            await heard, sample_rate=RATE, num_channels=1, frame_size_ms=HEARD_MS
        )
        async for event in stream:
            if turn.hear(bytes(event.frame.data)):
                playing = asyncio.create_task(self._play())
                await self._tell(turn.stamp())
        await playing

    async def _play(self) -> None:
        size = RATE * PLAYED_MS // 1000 * 2
        for start in range(0, len(self._answer), size):
            pcm = self._answer[start : start + size]
            await self._source.capture_frame(rtc.AudioFrame(pcm, RATE, 1, len(pcm) // 2))

    async def _tell(self, stamp: str) -> None:
        self._answers += 1
        await self._room.local_participant.send_text(
            stamp,
            topic=TOPIC_TRANSCRIPTION,
            attributes={ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID: str(self._answers)},
        )


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    if CONTESTANT == "floor":
        await Bare(ctx.room).run(ctx)
        return
    session: AgentSession[None] = AgentSession(
        llm=model(CONTESTANT, os.environ["BENCH_PHONIC"]), aec_warmup_duration=0
    )
    await session.start(
        agent=Agent(instructions="Be kind."),
        room=ctx.room,
        room_options=RoomOptions(audio_input=AudioInputOptions(frame_size_ms=HEARD_MS)),
    )


if __name__ == "__main__":
    cli.run_app(server)

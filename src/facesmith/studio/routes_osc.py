"""The endpoint that passes OSC messages on to the page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from facesmith.studio.osc_input import OscInput
from facesmith.studio.query import Parameters
from facesmith.studio.responses import NO_STORE
from facesmith.studio.services import NotOpen, Studio, StudioDep

KEEP_ALIVE_SECONDS = 1.0  # so that a page that was closed is noticed, and the studio can stop
router = APIRouter()


@router.get("/api/osc")
async def osc(studio: StudioDep, query: Annotated[Parameters, Query()]) -> Response:
    """OSC messages as server-sent events, such as `data: {"address": "/smiling", "values": [0.5]}`.

    Only the newest message of each address is sent, if more arrive than the page can take.
    """
    if studio.osc is None:
        raise NotOpen("This studio receives no OSC messages. Start it with --osc PORT.")
    return StreamingResponse(_events(studio, studio.osc), media_type="text/event-stream", headers=NO_STORE)


async def _events(studio: Studio, osc_input: OscInput) -> AsyncIterator[bytes]:
    with osc_input.page() as messages:
        yield b": connected\n\n"
        while not studio.stopping.is_set():
            newest = await messages.next(KEEP_ALIVE_SECONDS)
            for address, values in newest.items():
                yield b"data: " + json.dumps({"address": address, "values": values}).encode() + b"\n\n"
            if not newest:
                yield b": keep-alive\n\n"

"""OSC messages of music programs reach the page, and nothing that they contain stops the studio."""

from __future__ import annotations

import asyncio
import io
import re
import socket
import struct
import sys
import time
from contextlib import closing, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from small import saved_model

from facesmith.errors import BadOption, MissingExtra

pytest.importorskip("fastapi", reason="the studio is an extra")
pytest.importorskip("pythonosc", reason="OSC is an extra")
import uvicorn
from fastapi.testclient import TestClient
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.udp_client import SimpleUDPClient

from facesmith.studio import osc_input, routes_osc
from facesmith.studio.access import Access
from facesmith.studio.app import create_app
from facesmith.studio.open_models import OpenModels
from facesmith.studio.osc_input import OscInput
from facesmith.studio.serve import StudioOptions, serve
from facesmith.studio.services import Studio

HOST = "127.0.0.1:8400"


@contextmanager
def udp_client(port):
    client = SimpleUDPClient("127.0.0.1", port)
    with closing(client._sock):
        yield client


def received(send, last):
    """The messages that a page receives after `send` was called with a client, until the address `last` arrives."""

    async def listen():
        osc = OscInput(0)
        newest = {}
        try:
            with osc.page() as messages, udp_client(osc.port) as client:
                await asyncio.to_thread(send, client)
                for _ in range(50):
                    newest |= await messages.next(0.2)
                    if last in newest:
                        break
        finally:
            osc.close()
        return newest

    return asyncio.run(listen())


def test_messages_arrive_with_their_values():
    def send(client):
        client.send_message("/smiling", 0.5)
        client.send_message("/seed", 42)
        client.send_message("/note", ["a", 1, True])

    newest = received(send, "/note")
    assert newest["/smiling"] == [0.5]
    assert newest["/seed"] == [42]
    assert newest["/note"] == ["a", 1, True]


def test_message_for_a_later_time_delays_no_other():
    def send(client):
        message = OscMessageBuilder("/later")
        message.add_arg(0.5)
        bundle = OscBundleBuilder(time.time() + 30)
        bundle.add_content(message.build())
        client.send(bundle.build())
        client.send_message("/now", 1)

    assert received(send, "/now") == {"/later": [0.5], "/now": [1]}


def test_only_the_newest_message_of_an_address_waits():
    def send(client):
        for i in range(50):
            client.send_message("/psi", i / 50)
        client.send_message("/end", 1)

    newest = received(send, "/end")
    assert newest["/psi"][0] > 0.8
    assert set(newest) == {"/psi", "/end"}


def test_damaged_and_hostile_messages_are_ignored(capfd):
    def send(client):
        raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        target = (client._address, client._port)
        for packet in (b"", b"/", b"/x\0\0,f\0\0", b"#bundle\0" + b"\xff" * 30, b"\xff" * 1000, b"/a" * 3000):
            raw.sendto(packet, target)
        raw.close()
        client.send_message("/nan", float("nan"))
        client.send_message("/inf", float("inf"))
        client.send_message("/" + "x" * 5000, 1)
        client.send_message("/line\nbreak", 1)
        client.send_message("/text", "x" * 5000)
        client.send_message("/blob", b"\0\1")
        client.send_message("/good", 1.0)

    newest = received(send, "/good")
    assert newest["/good"] == [1.0]
    assert all(values == [] for address, values in newest.items() if address in ("/nan", "/inf", "/text", "/blob"))
    assert not any("\n" in address or len(address) > 200 for address in newest)
    assert capfd.readouterr().err == "", "no traceback in the terminal"


def test_many_addresses_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(osc_input, "MAX_ADDRESSES", 5)

    async def add_many():
        messages = osc_input.OscMessages(asyncio.get_running_loop())
        for i in range(40):
            messages.add(f"/{i}", [1.0])
        await asyncio.sleep(0.05)  # now the event loop has taken all of them
        return await messages.next(5)

    assert asyncio.run(add_many()) == {f"/{i}": [1.0] for i in range(5)}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_packet_is_survived(packets):
    def send(client):
        raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for packet in packets:
            raw.sendto(packet, (client._address, client._port))
        raw.close()
        client.send_message("/good", struct.unpack("<f", b"\0\0\0\x3f")[0])

    assert received(send, "/good")["/good"] == [0.5]


def test_page_receives_server_sent_events(tmp_path, monkeypatch):
    monkeypatch.setattr(routes_osc, "KEEP_ALIVE_SECONDS", 0.2)
    studio = Studio(OpenModels([saved_model(tmp_path)], ["tiny"]), osc=OscInput(0))

    async def lines():
        events = routes_osc._events(studio, studio.osc)
        connected = await anext(events)
        with udp_client(studio.osc.port) as client:
            client.send_message("/smiling", 0.5)
        async for event in events:
            if event.startswith(b"data"):
                studio.stopping.set()  # after which the stream ends
                yield connected, event

    async def first():
        return [each async for each in lines()]

    ((connected, event),) = asyncio.run(first())
    assert connected.startswith(b":")
    assert event == b'data: {"address": "/smiling", "values": [0.5]}\n\n'
    with TestClient(create_app(studio, Access(frozenset([HOST]))), base_url=f"http://{HOST}") as client:
        assert client.get("/api/models").json()["osc"] is True
        stream = client.get("/api/osc")  # the studio is stopping, so the stream ends at once
        assert stream.headers["content-type"].startswith("text/event-stream")


def test_studio_without_osc_says_how_to_start_it(tmp_path):
    studio = Studio(OpenModels([saved_model(tmp_path)], ["tiny"]))
    with TestClient(create_app(studio, Access(frozenset([HOST]))), base_url=f"http://{HOST}") as client:
        assert client.get("/api/models").json()["osc"] is False
        refused = client.get("/api/osc")
        assert refused.status_code == 404
        assert "--osc" in refused.json()["error"]


def test_port_is_shown_and_used_ports_are_reported(tmp_path, monkeypatch):
    run, output = saved_model(tmp_path), io.StringIO()
    console = Console(file=output, soft_wrap=True)
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: server.config.app.state.studio.close())
    serve(StudioOptions(models=[run], osc_port=0), console)
    assert re.search(r"OSC messages are received on 127\.0\.0\.1, port \d+", output.getvalue())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(BadOption, match="--osc"):
            serve(StudioOptions(models=[run], osc_port=other.getsockname()[1]), console)
    monkeypatch.setitem(sys.modules, "pythonosc.dispatcher", None)
    with pytest.raises(MissingExtra, match=r"facesmith\[osc\]"):
        serve(StudioOptions(models=[run], osc_port=0), console)

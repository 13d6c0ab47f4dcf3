"""HTTP/1.1, HTTP/2, compression and WebSocket with TLS, as Python's own libraries speak them."""

import asyncio
import ssl
import sys

import httpx
import requests
import websockets


async def serve():
    """A WebSocket server that says everything back; it prints its port."""

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


async def talk(port, context):
    async with websockets.connect(f"wss://localhost:{port}/ws", ssl=context) as connection:
        for message in ["a word", b"\x00" * 100_000]:
            await connection.send(message)
            assert await connection.recv() == message
    print("websockets")


def ask(port, authority):
    url = f"https://localhost:{port}/"
    with requests.Session() as session:
        for _ in range(3):
            answer = session.get(url, verify=authority)
            print("requests", answer.status_code, answer.text)
    context = ssl.create_default_context(cafile=authority)
    with httpx.Client(http2=True, verify=context) as client:
        for _ in range(3):
            answer = client.get(url)
            print("httpx", answer.http_version, answer.status_code, answer.text)
    # One of its own: httpx has made the other offer HTTP/2.
    asyncio.run(talk(port, ssl.create_default_context(cafile=authority)))


if sys.argv[1] == "serve":
    asyncio.run(serve())
else:
    ask(sys.argv[2], sys.argv[3])

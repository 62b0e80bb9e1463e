"""A camera that speaks RTSP, for tests: shows one film (MPEG-TS with H.264) round and round, over 127.0.0.1, to whoever asks.

    rtsp_camera.py PORT FILM

ffmpeg sends the film as RTP; this hands the packets on within the RTSP connection, as palisade asks for it ("interleaved", RFC 2326
section 10.12). The H.264 stream repeats its parameters at each key frame, so the description needs none.
"""
import asyncio
import sys

DESCRIPTION = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=camera
c=IN IP4 127.0.0.1
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1
a=control:track1
""".replace("\n", "\r\n")


class Packets(asyncio.DatagramProtocol):
    """RTP packets, each behind the four bytes that say so."""

    def __init__(self, writer):
        self.writer = writer

    def datagram_received(self, data, _):
        # A viewer that doesn't read loses packets, as with any camera.
        if self.writer.transport.get_write_buffer_size() < 1 << 20:
            self.writer.write(b"$\0" + len(data).to_bytes(2, "big") + data)


async def next_request(reader):
    """The next request's method and number; reports of reception, which come between, are skipped."""
    while True:
        first = await reader.readexactly(1)
        if first != b"$":
            break
        head = await reader.readexactly(3)
        await reader.readexactly(int.from_bytes(head[1:], "big"))
    lines = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    number = next(line.split(":")[1].strip() for line in lines if line.lower().startswith("cseq"))
    return lines[0].split()[0], number


async def serve(reader, writer, film):
    sender = None
    loop = asyncio.get_running_loop()
    receiver, _ = await loop.create_datagram_endpoint(lambda: Packets(writer), local_addr=("127.0.0.1", 0))
    try:
        while True:
            method, number = await next_request(reader)
            head, body = [f"CSeq: {number}", "Session: 1"], ""
            if method == "DESCRIBE":
                body = DESCRIPTION
                head += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
            elif method == "SETUP":
                head.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
            elif method == "OPTIONS":
                head.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
            writer.write("\r\n".join(["RTSP/1.0 200 OK", *head, "", body]).encode())
            if method == "TEARDOWN":
                break
            if method == "PLAY" and sender is None:
                port = receiver.get_extra_info("sockname")[1]
                # It ends with this process, however that ends.
                sender = await asyncio.create_subprocess_exec(
                    "setpriv", "--pdeathsig", "KILL", "--", "ffmpeg", "-loglevel", "quiet", "-nostdin", "-re", "-stream_loop", "-1",
                    "-i", film, "-map", "0:v", "-c", "copy", "-payload_type", "96", "-f", "rtp",
                    f"rtp://127.0.0.1:{port}?pkt_size=1200", stdout=asyncio.subprocess.DEVNULL)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        if sender is not None and sender.returncode is None:
            sender.kill()
            await sender.wait()
        receiver.close()
        writer.close()


async def main(port, film):
    server = await asyncio.start_server(lambda reader, writer: serve(reader, writer, film), "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))

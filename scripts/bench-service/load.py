"""Many clients that stream answers at once: what the service does under load, and what it costs.

  python3 scripts/bench-service/load.py URL COORDINATOR_PID [--clients 200] [--seconds 60] [--key KEY]

Standard library only. Prints one JSON line: answers, refusals (429), other failures, time to the first
token, memory of the coordinator after warm-up and at the end, and CPU seconds by kind of thread.
"""

import argparse
import asyncio
import base64
import collections
import json
import os
import pathlib
import time
import urllib.parse

root = pathlib.Path(__file__).resolve().parents[2]
parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("pid", type=int)
parser.add_argument("--clients", type=int, default=200)
parser.add_argument("--seconds", type=float, default=60)
parser.add_argument("--key", default="")
options = parser.parse_args()
target = urllib.parse.urlparse(options.url)


def request(picture, prompt):
    data = base64.b64encode((root / "cluster/demo/images" / picture).read_bytes()).decode()
    body = json.dumps({"stream": True, "messages": [{"role": "user", "content": [
        {"type": "text", "text": prompt},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}]}]})
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: {target.netloc}\r\n"
            f"Authorization: Bearer {options.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


REQUESTS = [request("shapes-02.png", "caption en"), request("shapes-01.png", "detect green square"),
            request("shapes-13.png", "count circles")]
firsts, outcomes = [], collections.Counter()


async def client(index, end):
    reader = writer = None
    while time.monotonic() < end:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(target.hostname, target.port)
            start = time.monotonic()
            writer.write(REQUESTS[index % len(REQUESTS)])
            index += 1
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            status = int(head.split()[1])
            if status == 200:
                firsts.append(time.monotonic() - start)
                body = await reader.readuntil(b"\r\n0\r\n\r\n")
                outcomes["answered" if b"data: [DONE]" in body else "broken off"] += 1
            else:
                length = int(head.split("content-length:")[1].split()[0])
                await reader.readexactly(length)
                outcomes[status] += 1
                await asyncio.sleep(1)
        except (OSError, asyncio.IncompleteReadError) as error:
            outcomes[type(error).__name__] += 1
            writer = None
    if writer:
        writer.close()


def resident():
    pages = pathlib.Path(f"/proc/{options.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def threads():
    """CPU seconds of the coordinator by kind of thread."""
    seconds = collections.Counter()
    for task in pathlib.Path(f"/proc/{options.pid}/task").iterdir():
        name, rest = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        fields = rest.split()
        kind = name.split("-#")[0].rstrip("0123456789-")
        seconds[kind] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


async def main():
    before, start = threads(), time.monotonic()
    end = start + options.seconds
    running = [asyncio.create_task(client(index, end)) for index in range(options.clients)]
    await asyncio.sleep(options.seconds / 3)
    warm = resident()
    await asyncio.sleep(options.seconds * 2 / 3)
    late = resident()
    await asyncio.gather(*running)
    took = time.monotonic() - start
    firsts.sort()
    cpu = {kind: round(value - before[kind], 2) for kind, value in threads().items()}
    print(json.dumps({
        "clients": options.clients, "seconds": round(took, 1),
        "outcomes": {str(key): value for key, value in outcomes.items()},
        "answers_per_second": round(outcomes["answered"] / took, 1),
        "first_token_p50_s": round(firsts[len(firsts) // 2], 3) if firsts else None,
        "first_token_p99_s": round(firsts[len(firsts) * 99 // 100], 3) if firsts else None,
        "resident_warm_mb": round(warm / 1e6, 1), "resident_end_mb": round(late / 1e6, 1),
        "resident_change": round(late / warm - 1, 4), "cpu_seconds": cpu,
    }))


asyncio.run(main())

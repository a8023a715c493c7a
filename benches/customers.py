#!/usr/bin/env python3
"""Measures what customers wait for, each as one repeatable command. Build the release first.

    benches/customers.py statements [--accounts N] [--postings N] [--rounds N]    a month of that many accounts, made by `florin statements make`;
                                [--references]                       with references, so that 20 postings take two pages
    benches/customers.py latest [--clients N] [--seconds N]          the latest 20 of random accounts, asked by wrk; with
                                [--pause MS]                         clients that wait so long between two requests, on average
    benches/customers.py streams [--streams N] [--seconds N]         that many open streams of events, and what they take

Everything is made anew in a folder that is removed (--data names its parent), with a server of its own on a free port.
`--redis URL` and `--shards "URL ..."` (with `--owners`) measure over PostgreSQL and a shared cache; the program must be built so.
"""
import argparse
import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request

FLORIN = os.environ.get("FLORIN", "target/release/florin")


def events(accounts, postings, references=True):
    """So many accounts of a customer each, with so many deposits in October 2025. A reference has a line of its own on a statement."""
    def event(kind, number, at, data):
        return {"specversion": "1.0", "type": f"florin.{kind}", "source": "bench", "id": f"{kind}-{number}", "time": at, "data": data}
    for n in range(1, accounts + 1):
        yield event("user.registered", n, "2025-10-01T00:00:00Z", {"user_id": str(n), "name": f"Customer {n}"})
        yield event("account.opened", n, "2025-10-01T00:00:00Z",
                    {"account_id": str(n), "user_id": str(n), "currency": "EUR", "type": "checking"})
        for p in range(postings):
            reference = {"reference": f"Invoice {n}-{p}"} if references else {}
            yield event("deposit", f"{n}-{p}", f"2025-10-{1 + p % 28:02}T12:00:00Z",
                        {"account_id": str(n), "amount": f"{10 + p}.50", "currency": "EUR"} | reference)


def filled(folder, arguments, accounts, postings, references=True):
    data = os.path.join(folder, "bank")
    source = os.path.join(folder, "events.ndjson")
    with open(source, "w") as file:
        for event in events(accounts, postings, references):
            file.write(json.dumps(event) + "\n")
    subprocess.run([FLORIN, "ingest", source, "--data", data, "--quiet"], check=True, env=environment(arguments),
                   stdout=subprocess.DEVNULL)
    return data


def environment(arguments):
    known = dict(os.environ)
    if arguments.shards:
        known.update(FLORIN_STORAGE__ENGINE="postgres", FLORIN_STORAGE__SHARDS=arguments.shards)
        known.update(FLORIN_STORAGE__OWNERS=arguments.owners or arguments.shards)
    if arguments.redis:
        known.update(FLORIN_CACHE__REDIS=arguments.redis)
    return known


class Server:
    def __init__(self, data, arguments):
        command = [FLORIN, "serve", "--data", data, "--listen", "127.0.0.1:0", "--no-auth", "--quiet"]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(arguments))
        self.url = self.child.stdout.readline().split()[-1]

    def resident_mib(self):
        with open(f"/proc/{self.child.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024

    def ask(self, path, body=None, key=None):
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers)) as answer:
            return answer.read().decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()


def statements(folder, arguments):
    """Each round has a bank of its own, and all are removed at the end: for minutes after files were deleted ext4 looks past
    each of them whenever it makes another."""
    for number in range(arguments.rounds):
        of_round = os.path.join(folder, str(number))
        os.mkdir(of_round)
        statements_of(filled(of_round, arguments, arguments.accounts, arguments.postings, arguments.references), arguments)


def statements_of(data, arguments):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [FLORIN, "statements", "make", "--data", data, "--month", "2025-10", "--json", "--quiet"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(arguments))
    largest = 0
    while child.poll() is None:
        try:
            with open(f"/proc/{child.pid}/status") as status:
                largest = max(largest, int((re.search(r"VmHWM:\s+(\d+)", status.read()) or [0, 0])[1]))
        except OSError:
            pass
        time.sleep(0.05)
    took = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    made = json.loads(child.stdout.read())["made"]
    print(f"{made} statements of {arguments.postings} postings in {took:.1f} s: {made / took:.0f}/s; "
          f"{cpu:.1f} s of processor time: {made / cpu:.0f}/s per core; at most {largest / 1024:.0f} MiB")


def latest(folder, arguments):
    data = filled(folder, arguments, arguments.accounts, 25)
    script = os.path.join(folder, "latest.lua")
    with open(script, "w") as file:
        file.write("local accounts = %d\nrequest = function()\n  return wrk.format('GET', '/api/v1/accounts/' .. "
                   "math.random(accounts) .. '/postings?limit=20')\nend\n" % arguments.accounts)
        if arguments.pause:
            file.write("delay = function()\n  return math.random(0, %d)\nend\n" % (2 * arguments.pause))
    with Server(data, arguments) as server:
        ask = ["wrk", "-t2", f"-c{arguments.clients}", "--latency", "-s", script, server.url]
        subprocess.run(ask[:1] + ["-d2s"] + ask[1:], check=True, stdout=subprocess.DEVNULL)  # is not counted
        subprocess.run(ask[:1] + [f"-d{arguments.seconds}s"] + ask[1:], check=True)
        print("\n".join(line for line in server.ask("/metrics").splitlines() if line.startswith("florin_history_")))


async def listen(host, port, account, opened, heard):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /api/v1/accounts/{account}/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    opened.append(writer)
    async for line in reader:
        if line.startswith(b"event: posting"):
            heard.append(time.monotonic())


async def open_streams(server, arguments):
    host, port = server.url.removeprefix("http://").split(":")
    opened, heard, tasks = [], [], []
    empty = server.resident_mib()
    for n in range(arguments.streams):
        tasks.append(asyncio.create_task(listen(host, int(port), 1 + n % arguments.accounts, opened, heard)))
        if n % 200 == 199:
            await asyncio.sleep(0.02)
    while len(opened) < arguments.streams:
        await asyncio.sleep(0.05)
    await asyncio.sleep(2)
    quiet = server.resident_mib()
    loop, start = asyncio.get_running_loop(), time.monotonic()
    paid = 0
    while time.monotonic() - start < arguments.seconds:
        account, key = 1 + paid % arguments.accounts, f"stream-{paid}"
        body = {"type": "deposit", "to": str(account), "amount": "1", "currency": "EUR"}
        await loop.run_in_executor(None, server.ask, "/api/v1/transfers", body, key)
        paid += 1
    await asyncio.sleep(1)
    expected = sum(arguments.streams // arguments.accounts + (paid_to % arguments.accounts < arguments.streams % arguments.accounts)
                   for paid_to in range(paid))
    print(f"{len(opened)} streams: {empty:.0f} MiB before, {quiet:.0f} MiB open and quiet "
          f"({(quiet - empty) * 1024 / max(1, arguments.streams):.1f} KiB each), "
          f"{server.resident_mib():.0f} MiB after {paid} deposits; {len(heard)} of {expected} postings were heard")
    for task in tasks:
        task.cancel()


def streams(folder, arguments):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    data = filled(folder, arguments, arguments.accounts, 1)
    with Server(data, arguments) as server:
        asyncio.run(open_streams(server, arguments))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["statements", "latest", "streams"])
    parser.add_argument("--accounts", type=int)
    parser.add_argument("--postings", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--references", action="store_true")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--pause", type=int, default=0)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--data", default="target")
    parser.add_argument("--redis")
    parser.add_argument("--shards")
    parser.add_argument("--owners")
    arguments = parser.parse_args()
    arguments.accounts = arguments.accounts or {"statements": 3000, "latest": 1000, "streams": 1000}[arguments.what]
    if not os.access(FLORIN, os.X_OK):
        sys.exit("error: build it first: cargo build --release -p florin, or name the program in FLORIN")
    with tempfile.TemporaryDirectory(dir=arguments.data) as folder:
        {"statements": statements, "latest": latest, "streams": streams}[arguments.what](folder, arguments)


main()

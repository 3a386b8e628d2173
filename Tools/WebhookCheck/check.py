#!/usr/bin/env python3
"""Delivers webhooks to WebhookCheck over HTTP and receives its webhooks, with the packages of Standard Webhooks and Stripe.

  check.py PROGRAM [--deliveries N] [--kills N]

--deliveries N  deliveries with repetitions and in another order (10,000)
--kills N       SIGKILLs of the receiver meanwhile (5)

Half of the deliveries follow the Standard Webhooks and half of them Stripe. About a third of the events is delivered two
or three times. A delivery without a success is repeated, as providers do. At the end, the effect of every event has to be
in the receiver's file. A crash between an effect and its record repeats the effect, which an idempotent sink ignores. The
number of such repetitions has a limit.
"""
import argparse
import contextlib
import http.client
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone

import standardwebhooks
import stripe

STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STRIPE = "whsec_test_secret"
CONCURRENCY = 64  # the deliveries of the receiver's relay at the same time


def fail(text):
    sys.exit(f"webhooks: {text}")


def expect(found, wanted, text):
    if found != wanted:
        fail(f"{text}: {found!r} instead of {wanted!r}")


def standard(id, body, time=None, secret=STANDARD):
    """The fields of a message that the package of Standard Webhooks has signed."""
    time = time or datetime.now(timezone.utc)
    signature = standardwebhooks.Webhook(secret).sign(id, time, body)
    return {"webhook-id": id, "webhook-timestamp": str(int(time.timestamp())), "webhook-signature": signature}


def from_stripe(body, at=None, secret=STRIPE):
    """The fields of a message that the package of Stripe has signed."""
    at = int(at or time.time())
    signature = stripe.WebhookSignature._compute_signature(f"{at}.{body}", secret)
    return {"stripe-signature": f"t={at},v1={signature},v0={'0' * 64}"}


class Receiver:
    """The process that receives, which can be killed."""

    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.program, "receive", self.directory, str(self.port)],
                                        stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            fail("the receiver did not start")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def send(self, path, fields, body, method="POST"):
        connection = self.connection()
        connection.request(method, path, body, fields)
        response = connection.getresponse()
        answer = response.status, dict(response.getheaders()), response.read()
        connection.close()
        return answer

    def status(self, *arguments, **options):
        return self.send(*arguments, **options)[0]

    def effects(self):
        try:
            with open(os.path.join(self.directory, "effects"), encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def wait_for_effects(self, wanted):
        limit = time.monotonic() + 120
        while wanted - set(self.effects()):
            if time.monotonic() > limit:
                missing = wanted - set(self.effects())
                fail(f"{len(missing)} of {len(wanted)} effects are missing, such as {sorted(missing)[0]}")
            time.sleep(0.05)


def check_answers(receiver):
    """The table of answers, with signatures of other projects."""
    body = '{"type":"payment.settled","data":{"order":"o-1"}}'
    good = standard("msg_1", body)
    expect(receiver.status("/standard", good, body), 204, "a signed message")
    expect(receiver.status("/standard", good, body), 204, "the same message again")
    expect(receiver.status("/standard", standard("msg_1", body), body), 204, "a new attempt of the message")
    expect(receiver.status("/standard", standard("msg_1", body + " "), body + " "), 409, "the same id, other bytes")
    forged = receiver.send("/standard", good, body.replace("o-1", "o-2"))
    expect(forged[0], 401, "a changed body")
    old = receiver.send("/standard", standard("msg_2", body, datetime.fromtimestamp(time.time() - 400, timezone.utc)),
                        body)
    expect(old[0], 401, "an old message")
    answers = [json.loads(answer[2]) for answer in (forged, old)]
    for answer in answers:
        del answer["request_id"]
    expect(answers[0], answers[1], "the answers of two rejections")
    expect(receiver.status("/standard", {}, body), 401, "a message without a signature")
    expect(receiver.status("/standard", standard("msg_3", body, secret="whsec_" + "A" * 32), body), 401, "another secret")
    other = '{"type":"payment.created"}'
    expect(receiver.status("/standard", standard("msg_4", other), other), 204, "a type that is not accepted")
    large = " " * (1 << 20) + "{}"
    expect(receiver.status("/standard", standard("msg_5", large), large), 413, "a body over the limit")
    expect(receiver.status("/standard", good, method="GET", body=None), 405, "another method")
    expect(receiver.status("/other", good, body), 404, "another path")
    event = '{"id":"evt_1","type":"charge.succeeded","object":"event"}'
    expect(receiver.status("/stripe", from_stripe(event), event), 204, "a message of Stripe")
    expect(receiver.status("/stripe", from_stripe(event), event), 204, "the message of Stripe again")
    expect(receiver.status("/stripe", from_stripe(event, secret="whsec_other_secret"), event), 401, "another secret")
    # The published message of the asymmetric scheme, because the packages have no Ed25519.
    asymmetric = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
                  "webhook-signature": "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mN"
                                       "l8EM+m7TBAg=="}
    expect(receiver.status("/asymmetric", asymmetric, '{"test": 2432232314}'), 204, "an Ed25519 signature")
    expect(receiver.status("/asymmetric", asymmetric, '{"test": 2432232315}'), 401, "a changed body with Ed25519")
    receiver.wait_for_effects({"standard msg_1", "stripe evt_1", "asymmetric msg_p5jXN8AQM9LWM0D4loKWxJek"})
    if len(receiver.effects()) != 3:
        fail(f"the effects are {receiver.effects()}")
    print("answers: 20 deliveries, signed by standardwebhooks "
          f"and stripe {stripe.VERSION}, got the right answers; 3 events took effect once")


def check_deliveries(receiver, count, kills):
    """Many deliveries, repeated and in another order, while the receiver is killed."""
    chance = random.Random(20261130)
    deliveries = []
    events = 0
    while len(deliveries) < count:
        events += 1
        deliveries += [events] * chance.choice((1, 1, 1, 2, 3))
    chance.shuffle(deliveries)
    lock = threading.Lock()
    repeated, delivered = [0], [0]

    def deliver(number, connection):
        if number % 2:
            id, body = f"msg_load{number}", '{"type":"payment.settled","data":%d}' % number
            fields, path = standard(id, body), "/standard"
        else:
            body = json.dumps({"id": f"evt_load{number}", "type": "charge.succeeded"})
            fields, path = from_stripe(body), "/stripe"
        connection.request("POST", path, body, fields)
        response = connection.getresponse()
        response.read()
        return response.status

    def work():
        connection = receiver.connection()
        while True:
            with lock:
                if not deliveries:
                    return
                number = deliveries.pop()
            while True:
                try:
                    status = deliver(number, connection)
                except (OSError, http.client.HTTPException):
                    status = None
                    connection.close()
                    time.sleep(0.01)
                if status == 204:
                    break
                if status not in (None, 503):
                    fail_later.append(f"event {number} got {status}")
                    return
                with lock:
                    repeated[0] += 1
            with lock:
                delivered[0] += 1

    fail_later = []
    start = time.monotonic()
    total = len(deliveries)
    workers = [threading.Thread(target=work) for _ in range(16)]
    for worker in workers:
        worker.start()
    for kill in range(1, kills + 1):
        while any(worker.is_alive() for worker in workers) and delivered[0] < total * kill // (kills + 1):
            time.sleep(0.001)
        receiver.kill()
        receiver.start()
    for worker in workers:
        worker.join()
    if fail_later:
        fail(fail_later[0])
    seconds = time.monotonic() - start
    wanted = {f"standard msg_load{number}" if number % 2 else f"stripe evt_load{number}"
              for number in range(1, events + 1)}
    receiver.wait_for_effects(wanted)
    found = [line for line in receiver.effects() if "load" in line]
    if set(found) != wanted:
        fail(f"unknown effects: {sorted(set(found) - wanted)[:3]}")
    again = len(found) - len(wanted)
    if again > kills * 2 * CONCURRENCY:
        fail(f"{again} effects were repeated, which {kills} kills do not explain")
    print(f"deliveries: {total} of {events} events, {repeated[0]} repeated after {kills} SIGKILLs, "
          f"{total / seconds:.0f} a second; every event took effect; {again} effects were repeated for the sink")


class Endpoints(http.server.BaseHTTPRequestHandler):
    """A server whose paths are endpoints, which verify with the packages of Standard Webhooks and Stripe."""

    protocol_version = "HTTP/1.1"
    verified = {"standard": [], "stripe": [], "rotated": []}
    refused = set()
    requests = []
    lock = threading.Lock()

    def log_message(self, *_):
        pass

    def answer(self, status, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self):
        name = self.path[1:]
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.lock:
            self.requests.append(name)
        if name == "gone":
            return self.answer(410)
        if name == "redirect":
            return self.answer(302, location=f"http://localhost:{self.server.server_port}/standard")
        if name == "endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 4096)
            return None
        try:
            if name == "stripe":
                id = stripe.Webhook.construct_event(body, self.headers["stripe-signature"], STRIPE)["id"]
            else:
                standardwebhooks.Webhook(STANDARD).verify(body.decode(), dict(self.headers))
                id = self.headers["webhook-id"]
        except Exception as error:  # the test fails by the missing entry
            print(f"webhooks: {name}: {error!r}", file=sys.stderr)
            return self.answer(401)
        with self.lock:
            # The first attempt of every third message fails after its verification.
            first = (name, id) not in self.refused and int(id.split("_")[1]) % 3 == 0
            if first:
                self.refused.add((name, id))
            else:
                self.verified[name].append(id)
        return self.answer(500 if first else 204)


def check_sending(program, count):
    """Messages of WebhookSender, verified by the packages of Standard Webhooks and Stripe."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoints)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    run = subprocess.run([program, "send", str(server.server_port), str(count)], stdout=subprocess.PIPE, text=True,
                         timeout=120, check=True)
    server.shutdown()
    ends = sorted(run.stdout.splitlines())
    ids = range(count)
    for name, prefix in (("standard", "msg"), ("stripe", "evt"), ("rotated", "msg")):
        expect(sorted(Endpoints.verified[name]), sorted(f"{prefix}_{number}" for number in ids), f"verified by {name}")
    for name in ("standard", "stripe", "rotated", "endless"):
        expect([end for end in ends if end.startswith(f"delivered {name} ")],
               sorted(f"delivered {name} msg_{number}" for number in ids), f"delivered to {name}")
    for name, code in (("gone", "webhook.gone"), ("redirect", "webhook.redirected"),
                       ("private", "webhook.address_rejected")):
        dead = [end for end in ends if end.startswith(f"dead {name} ")]
        expect(len(dead), count, f"dead letters of {name}")
        for end in dead:
            if code not in end:
                fail(f"a dead letter of {name} without {code}: {end}")
    expect(Endpoints.requests.count("private"), 0, "requests to a private address")
    print(f"sending: {count} messages to 7 endpoints; standardwebhooks and stripe verified {3 * count} of "
          f"{3 * count}; 410, redirects, endless answers and private addresses ended as they should")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--deliveries", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        receiver = Receiver(options.program, directory)
        try:
            check_answers(receiver)
            check_deliveries(receiver, options.deliveries, options.kills)
        finally:
            receiver.kill()
    check_sending(options.program, 9)


main()

"""Logs in, produces and reads one record with librdkafka for each line of a file.

secured.py CELLS

The cells are those of secured_matrix_test.go; one line for each says how that went.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Consumer, Producer, TopicPartition

KINDS = {"_AUTHENTICATION": "authentication", "SASL_AUTHENTICATION_FAILED": "authentication", "_SSL": "tls"}


def settings(cell, errors):
    _, bootstrap, ca, cert, key, _, mechanism, user, secret, _, _ = cell
    conf = {
        "bootstrap.servers": bootstrap, "security.protocol": "SASL_SSL", "sasl.mechanisms": mechanism, "ssl.ca.location": ca,
        "error_cb": lambda e: errors.append(e), "log_level": 0, "reconnect.backoff.max.ms": 500,
    }
    if cert:
        conf.update({"ssl.certificate.location": cert, "ssl.key.location": key})
    if mechanism == "OAUTHBEARER":
        conf["oauth_cb"] = lambda _: (secret, time.time() + 3000)
    else:
        conf.update({"sasl.username": user, "sasl.password": secret})
    return conf


def judge(errors):
    """What the first telling error says; None if there is none yet."""
    for e in errors:
        if e.name() in KINDS:
            return KINDS[e.name()]
        if "SSL routines" in e.str():  # an alert that came after this side's handshake
            return "tls"
    return None


def outcome(cell):
    name, topic, errors, placed = cell[0], cell[10], [], []
    producer = Producer(settings(cell, errors))
    producer.produce(topic, partition=0, value=name.encode(), on_delivery=lambda err, msg: placed.append((err, msg)))
    deadline = time.time() + 30
    while not placed and time.time() < deadline and not judge(errors):
        producer.poll(0.1)
    if not placed or placed[0][0]:
        producer.purge()
        producer.flush(1)
        return judge(errors) or "closed: " + "; ".join(str(e) for e in errors[:3])
    offset = placed[0][1].offset()
    consumer = Consumer({**settings(cell, errors), "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, offset)])
    try:
        while time.time() < deadline:
            m = consumer.poll(0.5)
            if m is not None and not m.error() and m.offset() == offset:
                return "ok" if m.value() == name.encode() else "read %r" % m.value()
    finally:
        consumer.close()
    return judge(errors) or "nothing was read: " + "; ".join(str(e) for e in errors[:3])


def main():
    with open(sys.argv[1]) as f:
        cells = [line.rstrip("\n").split("\t") for line in f]
    with ThreadPoolExecutor(8) as pool:
        for cell, result in zip(cells, pool.map(outcome, cells)):
            print("%s\t%s" % (cell[0], result.replace("\n", " ")))


main()

"""Produces, reads and commits with librdkafka through Python.

roundtrip.py BOOTSTRAP PREFIX [COUNT]

Writes COUNT records with keys and headers to a topic of its own per codec,
idempotently, reads them with a group of two members, commits, and prints one
line of facts per codec, and two of groups of the new protocol: what was written, what came back, in which order, and
what the group has committed.
"""

import hashlib
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


def produce(bootstrap, topic, codec, count):
    failed = []
    p = Producer({
        "bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 5, "enable.idempotence": True,
        "partitioner": "murmur2_random",
    })
    for i in range(count):
        p.produce(topic, key=b"key-%d" % (i % 50), value=b"value %d of %s" % (i, codec.encode()), headers=[("n", b"%d" % i), ("none", None)],
                  on_delivery=lambda err, msg: failed.append(err) if err else None)
        p.poll(0)
    left = p.flush(60)
    if left or failed:
        raise SystemExit("%s: %d not delivered, %d failed: %s" % (codec, left, len(failed), failed[:1]))


CLASSIC = {"session.timeout.ms": 10000, "partition.assignment.strategy": "cooperative-sticky"}


def consume(bootstrap, topic, group, count, protocol=CLASSIC):
    settings = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, **protocol}
    members = [Consumer(settings) for _ in range(2)]
    seen, ordered = {}, {}
    for c in members:
        c.subscribe([topic])
    idle = 0
    while len(seen) < count and idle < 600:
        idle += 1
        for c in members:
            for m in c.consume(500, 0.05):
                if m.error():
                    raise KafkaException(m.error())
                headers = dict(m.headers())
                n = int(headers["n"])
                if headers["none"] is not None or m.key() != b"key-%d" % (n % 50):
                    raise SystemExit("record %d came back with %r %r" % (n, m.key(), headers))
                seen[n] = m.value()
                last = ordered.get(m.key(), -1)
                if n > last:
                    ordered[m.key()] = n
                idle = 0
    for c in members:
        try:
            c.commit(asynchronous=False)
        except KafkaException as e:
            if e.args[0].name() != "_NO_OFFSET":
                raise
    partitions = members[0].committed([TopicPartition(topic.strip("^$").replace(".", "e"), p) for p in range(3)], 10)
    for c in members:
        c.close()
    return seen, sum(max(p.offset, 0) for p in partitions)


def main():
    bootstrap, prefix, count = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        topic = "%s-%s" % (prefix, codec)
        for f in admin.create_topics([NewTopic(topic, 3, 1)]).values():
            f.result(30)
        produce(bootstrap, topic, codec, count)
        seen, committed = consume(bootstrap, topic, topic + "-group", count)
        report(codec, seen, committed)
    # The new protocol of groups (KIP-848), by names and by a regular expression.
    for label, topics in [("consumer", "%s-none" % prefix), ("regex", "^%s-non.$" % prefix)]:
        seen, committed = consume(bootstrap, topics, "%s-%s" % (prefix, label), count, {"group.protocol": "consumer"})
        report(label, seen, committed)


def report(label, seen, committed):
    digest = hashlib.sha256(b"\n".join(seen[n] for n in sorted(seen))).hexdigest()[:16]
    print("%s records=%d sum=%s committed=%d" % (label, len(seen), digest, committed), flush=True)


main()

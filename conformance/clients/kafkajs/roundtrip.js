// Produces, reads and commits with KafkaJS.
//
// roundtrip.js BOOTSTRAP PREFIX [COUNT]
//
// As roundtrip.py beside it; KafkaJS itself comes with gzip, snappy is an extra.
const { createHash } = require('crypto')
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')

const [bootstrap, prefix, countText] = process.argv.slice(2)
const count = Number(countText || 2000)
const kafka = new Kafka({ clientId: 'kafkajs', brokers: [bootstrap], logLevel: logLevel.ERROR })

async function produce(topic, codec) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let from = 0; from < count; from += 200) {
    const messages = []
    for (let i = from; i < Math.min(from + 200, count); i++) {
      messages.push({ key: `key-${i % 50}`, value: `value ${i}`, headers: { n: String(i) } })
    }
    await producer.send({ topic, messages, compression: codec, acks: -1 })
  }
  await producer.disconnect()
}

async function consume(topic) {
  const seen = new Map()
  const members = [0, 1].map(() => kafka.consumer({ groupId: `${topic}-group`, sessionTimeout: 10000 }))
  let done
  const all = new Promise((resolve, reject) => {
    done = resolve
    setTimeout(() => reject(new Error(`${topic}: ${seen.size} of ${count} records after a minute`)), 60000).unref()
  })
  for (const c of members) {
    await c.connect()
    await c.subscribe({ topics: [topic], fromBeginning: true })
    await c.run({
      eachMessage: async ({ message }) => {
        seen.set(Number(message.headers.n.toString()), message.value.toString())
        if (seen.size === count) done()
      },
    })
  }
  await all
  for (const c of members) await c.disconnect() // commits what was handled
  const admin = kafka.admin()
  await admin.connect()
  const [offsets] = await admin.fetchOffsets({ groupId: `${topic}-group`, topics: [topic] })
  await admin.disconnect()
  return { seen, committed: offsets.partitions.reduce((sum, p) => sum + Math.max(Number(p.offset), 0), 0) }
}

async function main() {
  const admin = kafka.admin()
  await admin.connect()
  const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }
  for (const [name, codec] of Object.entries(codecs)) {
    const topic = `${prefix}-${name}`
    await admin.createTopics({ topics: [{ topic, numPartitions: 3, replicationFactor: 1 }] })
    await produce(topic, codec)
    const { seen, committed } = await consume(topic)
    const values = [...seen.keys()].sort((a, b) => a - b).map((k) => seen.get(k))
    const sum = createHash('sha256').update(values.join('\n')).digest('hex').slice(0, 16)
    console.log(`${name} records=${seen.size} sum=${sum} committed=${committed}`)
  }
  await admin.disconnect()
}

main().catch((e) => {
  console.error(e)
  process.exit(1)
})

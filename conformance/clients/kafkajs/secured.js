// Logs in, produces and reads one record with KafkaJS for each line of a file.
//
// secured.js CELLS
//
// The cells are those of secured_matrix_test.go; one line for each says how that went.
const fs = require('fs')
const { Kafka, logLevel } = require('kafkajs')

function client(cell) {
  const [, bootstrap, ca, cert, key, , mechanism, username, secret] = cell
  const ssl = { ca: [fs.readFileSync(ca, 'utf-8')] }
  if (cert) {
    ssl.cert = fs.readFileSync(cert, 'utf-8')
    ssl.key = fs.readFileSync(key, 'utf-8')
  }
  const sasl = mechanism === 'OAUTHBEARER'
    ? { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: secret }) }
    : { mechanism: mechanism.toLowerCase(), username, password: secret }
  return new Kafka({ clientId: 'secured', brokers: [bootstrap], ssl, sasl, logLevel: logLevel.NOTHING, retry: { retries: 0 }, connectionTimeout: 15000, authenticationTimeout: 15000 })
}

// judge names the kind of a failure: the first cause that says something.
function judge(failure) {
  const texts = []
  for (let e = failure; e; e = e.cause || e.originalError) {
    texts.push(`${e.name}: ${e.message}`)
    if (e.name === 'KafkaJSSASLAuthenticationError') return 'authentication'
  }
  const text = texts.join(' / ').replace(/\s+/g, ' ')
  if (/certificate|alert|SSL|TLS/.test(text)) return 'tls'
  if (/Closed connection|ECONNRESET|EPIPE|disconnected/.test(text)) return 'closed: ' + text
  return text
}

async function roundTrip(cell) {
  const [name, , , , , , , , , , topic] = cell
  const kafka = client(cell)
  const producer = kafka.producer()
  let offset
  try {
    await producer.connect()
    const [placed] = await producer.send({ topic, messages: [{ partition: 0, value: name }] })
    offset = placed.baseOffset
  } finally {
    await producer.disconnect().catch(() => {})
  }
  const consumer = kafka.consumer({ groupId: `secured-${name}`, maxWaitTimeInMs: 200 })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const value = await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('nothing was read')), 30000).unref()
    consumer.run({ eachMessage: async ({ message }) => { if (message.offset === offset) resolve(message.value.toString()) } }).catch(reject)
  })
  await consumer.disconnect()
  return value === name ? 'ok' : `read ${value}`
}

async function main() {
  const cells = fs.readFileSync(process.argv[2], 'utf-8').split('\n').filter((l) => l).map((l) => l.split('\t'))
  const outcomes = new Array(cells.length)
  let next = 0
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let i = next++; i < cells.length; i = next++) outcomes[i] = await roundTrip(cells[i]).catch(judge)
  }))
  cells.forEach((cell, i) => console.log(`${cell[0]}\t${outcomes[i]}`))
  process.exit(0)
}

main()

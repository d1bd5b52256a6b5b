/** `compression.network_transfer`: what MariaDB sends and is sent, counted on the wire. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import { FrameReader, frameOf } from '../../src/connectors/mysql/compressed.ts'
import { notesInto, smallJob } from '../jobs/small.ts'
import { freshMariadb, freshPostgres, type Hooks } from '../servers.ts'

/** A server behind a port that counts the bytes of both directions. */
async function counted(hooks: Hooks, target: string) {
  const url = new URL(target)
  const [host, port] = [url.hostname, Number(url.port)]
  const bytes = { sent: 0, received: 0 }
  const server = createServer(client => {
    const upstream = connect(port, host)
    client.on('data', piece => {
      bytes.sent += piece.length
    })
    upstream.on('data', piece => {
      bytes.received += piece.length
    })
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
    client.pipe(upstream).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  hooks.after(async () => void server.close())
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url: url.href, bytes }
}

const database = await freshMariadb()
await database.query(
  `CREATE TABLE items (id INT PRIMARY KEY, text VARCHAR(200) NOT NULL, n DECIMAL(20, 4), at DATETIME(6), long_text MEDIUMTEXT)
   SELECT seq AS id, concat(repeat('cargo ', 20), seq) AS text, seq / 7 AS n, '2026-01-01' + INTERVAL seq SECOND AS at,
     if(seq = 5000, repeat('long ', 500000), NULL) AS long_text FROM seq_1_to_20000`,
)
const content = () => database.query('SELECT id, text, n, at, md5(long_text) AS hash FROM loaded ORDER BY id')

test('tables from and to MariaDB take a part of the bytes, and are the same', async t => {
  const night = async (codec: string) => {
    await database.query('DROP TABLE IF EXISTS loaded')
    const [from, to] = [await counted(t, database.url), await counted(t, database.url)]
    const job = await smallJob(t, `packed_${codec}`, {
      'job.yaml': `connections: { source: "${from.url}", target: "${to.url}" }
extract: { items: { from: source, table: items, key: id } }
load: { loaded: { to: target, from: items, key: id } }
resources: { threads: 2 }
compression: { network_transfer: ${codec} }`,
    })
    const notes: string[] = []
    const result = await job.run({ progress: notesInto(notes) })
    assert.equal(result.status, 'SUCCESS', String(result.error))
    return {
      read: from.bytes.received,
      written: to.bytes.sent,
      content: await content(),
      notes: notes.filter(note => note.includes('network_transfer')),
    }
  }
  const [plain, zlib, lz4] = [await night('none'), await night('zlib'), await night('lz4')]
  assert.equal(plain.content.length, 20_000)
  for (const packed of [zlib, lz4]) {
    assert.deepEqual(packed.content, plain.content)
    assert.ok(packed.read < plain.read / 3, `${packed.read} bytes read, ${plain.read} uncompressed`)
    assert.ok(
      packed.written < plain.written / 3,
      `${packed.written} bytes sent, ${plain.written} uncompressed`,
    )
  }
  assert.deepEqual(
    [plain, zlib, lz4].map(({ notes }) => notes),
    [
      [],
      [],
      ["compression.network_transfer: source, target: compressed by zlib, as MySQL's protocol has no lz4"],
    ],
  )
})

test('the log of MariaDB is followed compressed; a connection that cannot be is named', async t => {
  const postgres = await freshPostgres(t)
  await database.query('CREATE TABLE followed (id INT PRIMARY KEY, text VARCHAR(200))')
  const source = await counted(t, database.url)
  const job = await smallJob(t, 'packed_log', {
    'job.yaml': `connections: { source: "${source.url}", warehouse: "${postgres.url}" }
extract: { followed: { from: source, table: followed, key: id, mode: changes } }
load: { followed: { to: warehouse, from: followed, key: id } }
compression: { network_transfer: zlib }`,
  })
  const notes: string[] = []
  const night = async () => {
    const { status, error } = await job.run({ progress: notesInto(notes) })
    assert.equal(status, 'SUCCESS', String(error))
  }
  await night()
  assert.ok(
    notes.includes(
      "compression.network_transfer: warehouse: not compressed, as only MySQL's and MariaDB's protocols can",
    ),
    notes.join('\n'),
  )
  const before = source.bytes.received
  await database.query(`INSERT INTO followed SELECT seq, repeat('x', 200) FROM seq_1_to_5000`)
  await night()
  const taken = source.bytes.received - before
  assert.ok(taken < 500_000, `${taken} bytes for a million`)
  const [loaded] = await postgres.query<{ n: string }>('SELECT count(*) AS n FROM followed')
  assert.equal(Number(loaded!.n), 5000)
  await job.cli('changes', 'drop', job.folder)
})

test('frames are the same however they are cut; a broken one is said', () => {
  const fail = (what: string): never => {
    throw new Error(what)
  }
  const packets = [Buffer.from('short'), Buffer.alloc(3000, 'abc'), Buffer.from('end')]
  const bytes = Buffer.concat(packets.map((packet, n) => frameOf(packet, n)))
  for (let cut = 0; cut <= bytes.length; cut++) {
    const taken: Buffer[] = []
    const reader = new FrameReader(piece => taken.push(Buffer.from(piece)) === packets.length, fail)
    const first = reader.push(bytes.subarray(0, cut))
    assert.equal(first || reader.push(bytes.subarray(cut)), true)
    assert.deepEqual(taken, packets)
  }
  const broken = Buffer.from(frameOf(packets[1]!, 0))
  broken.writeUInt8(broken[20]! ^ 0xff, 20)
  assert.throws(() => new FrameReader(() => false, fail).push(broken), /a compressed packet is broken/)
})

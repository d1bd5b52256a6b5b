import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { changedContacts, changedMembers } from '../../src/demo/sample/changes.ts'
import { FIRST_WATERMARK, iso, NIGHT_ONE, parseIso, timestamp } from '../../src/demo/sample/clock.ts'
import { contacts } from '../../src/demo/sample/contact.ts'
import { corrections, writeCorrections } from '../../src/demo/sample/corrections.ts'
import { fault, flaw, isRecent, member, memberId } from '../../src/demo/sample/member.ts'
import { paymentFeed } from '../../src/demo/sample/payment.ts'

const SEED = 20_240_601
const N = 20_000
const range = (n: number) => Array.from({ length: n }, (_, index) => index)

test('the same seed and index give the same rows, in whatever order they are asked for', () => {
  const feed = paymentFeed(N, SEED)
  const make = (index: number) => [
    member(SEED, index),
    contacts(SEED, index),
    corrections(SEED, index),
    feed.at(index),
  ]
  const forward = range(500).map(make)
  const backward = range(500).reverse().map(make).reverse()
  assert.deepEqual(forward, backward)
  assert.notDeepEqual(member(SEED, 17), member(SEED + 1, 17))
  assert.deepEqual([...changedMembers(2000, SEED)], [...changedMembers(2000, SEED)])
})

describe('members', () => {
  const rows = range(N).map(index => member(SEED, index))

  test('keys rise, with gaps, and far indexes are exact', () => {
    for (const [index, row] of rows.entries())
      assert.ok(index === 0 || row.member_id > rows[index - 1]!.member_id)
    assert.ok(rows.at(-1)!.member_id > 2 * N)
    assert.ok(memberId(SEED, 99_999_999) > memberId(SEED, 99_999_998))
  })

  test('about 2 % are bad, about 5 % dirty', () => {
    const bad = range(N).filter(index => fault(SEED, index)).length / N
    const dirty = range(N).filter(index => flaw(SEED, index)).length / N
    assert.ok(bad > 0.016 && bad < 0.024, `${bad}`)
    assert.ok(dirty > 0.042 && dirty < 0.058, `${dirty}`)
  })

  test('a row is bad exactly where fault says so', () => {
    for (const [index, row] of rows.entries()) {
      const wrong = fault(SEED, index)
      const email = row.email?.trim()
      const digits = row.phone?.replace(/(ext\.|x)\s*\d+$/, '').replace(/\D/g, '')
      assert.equal(
        email !== undefined && !/^[^@\s]+@[a-z]+(\.[a-z]+)+$/i.test(email),
        wrong === 'email',
        row.email ?? '',
      )
      assert.equal(
        digits !== undefined && !/^(?!0{5})\d{7,16}$/.test(digits),
        wrong === 'phone',
        `${row.phone} of ${row.country}`,
      )
      assert.equal(Number(row.monthly_fee) < 0, wrong === 'fee')
      assert.equal(row.end_date !== null && row.end_date < row.join_date, wrong === 'dates')
    }
  })

  test('fit the legacy columns, and nothing is newer than the watermark of night one', () => {
    for (const row of rows) {
      assert.ok((row.phone?.length ?? 0) <= 40 && row.address_line1.length <= 200)
      assert.ok(row.created_at <= row.updated_at && row.updated_at <= timestamp(FIRST_WATERMARK))
    }
    assert.equal(rows.filter(row => row.updated_at === timestamp(FIRST_WATERMARK)).length, 1)
  })
})

test('about 90 % of members have a contact, about 3 % two; ids are unique UUIDs', () => {
  const counts = range(N).map(index => contacts(SEED, index).length)
  const none = counts.filter(count => count === 0).length / N
  const two = counts.filter(count => count === 2).length / N
  assert.ok(none > 0.09 && none < 0.11 && two > 0.024 && two < 0.036, `${none} ${two}`)
  const ids = range(N).flatMap(index => contacts(SEED, index).map(row => row.contact_id))
  assert.equal(new Set(ids).size, ids.length)
  for (const id of ids)
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

describe('the payment feed', () => {
  test('is ordered, repeats about 3 % with a later stamp, and grows only at its end', () => {
    const feed = paymentFeed(N, SEED)
    const grown = paymentFeed(N, SEED, 2)
    const seen = new Map<string, string>()
    let last = ''
    let repeats = 0
    for (let position = 0; position < grown.count; position++) {
      const entry = grown.at(position)
      if (position < feed.count && position % 100 === 0) assert.deepEqual(entry, feed.at(position))
      assert.ok(entry.updated_at > last)
      assert.equal(iso(grown.time(position)), entry.updated_at)
      assert.equal(position < feed.count, entry.updated_at < iso(NIGHT_ONE))
      last = entry.updated_at
      if (seen.has(entry.payment_id)) repeats++
      seen.set(entry.payment_id, entry.updated_at)
      assert.match(entry.amount, /^\d+(\.\d\d)?$/)
    }
    assert.equal(feed.count, 2 * N)
    assert.ok(repeats / grown.count > 0.02 && repeats / grown.count < 0.04)
    assert.throws(() => feed.at(feed.count), RangeError)
  })
})

test('moments keep their microseconds through text', () => {
  for (const at of [0, 1, FIRST_WATERMARK, NIGHT_ONE - 1])
    for (const offset of [0, 60, -300, 330]) assert.equal(parseIso(iso(at, offset)), at)
  assert.equal(parseIso('2025-01-01T00:00:00Z'), Date.UTC(2025, 0, 1) * 1000)
  assert.equal(parseIso('2025-01-01'), undefined)
})

test('corrections: about 0.3 % of members, some twice, the file whole', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-sample-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const { path, rows } = await writeCorrections(join(dir, 'drop'), N, SEED)
  const text = readFileSync(path, 'utf8')
  assert.ok(text.startsWith('member_id,address_line1,city,region,postal_code,country,corrected_at\n'))
  assert.equal(text.trimEnd().split('\n').length, rows + 1)
  const ids = text
    .trimEnd()
    .split('\n')
    .slice(1)
    .map(line => line.split(',')[0])
  assert.ok(new Set(ids).size < ids.length, 'nobody was corrected twice')
  assert.ok(rows / N > 0.002 && rows / N < 0.0045)
})

describe('night two', () => {
  for (const n of [1000, N])
    test(`of ${n} members has every kind of change, each row once`, () => {
      const changes = [...changedMembers(n, SEED)]
      assert.equal(new Set(changes.map(({ index }) => index)).size, changes.length)
      const kinds = new Set(changes.map(({ change }) => change))
      assert.deepEqual([...kinds].sort(), [
        'break',
        'insert',
        'insert_bad',
        'late',
        'older',
        'repair',
        'update',
      ])
      for (const { change, index, row } of changes) {
        const before = member(SEED, index)
        assert.equal(row.member_id, before.member_id)
        if (change === 'insert' || change === 'insert_bad') assert.ok(index >= n)
        else assert.ok(index < n)
        if (change === 'older') {
          assert.ok(isRecent(index) && row.updated_at < before.updated_at)
          assert.ok(row.updated_at > timestamp(FIRST_WATERMARK - 300_000_000))
        } else if (change === 'late') {
          assert.ok(row.updated_at > before.updated_at && row.updated_at < timestamp(FIRST_WATERMARK))
          assert.ok(row.updated_at > timestamp(FIRST_WATERMARK - 300_000_000))
        } else assert.ok(row.updated_at > timestamp(NIGHT_ONE))
        assert.equal(change === 'repair', index < n && fault(SEED, index) !== undefined)
      }
    })

  test('has contacts for the new members and moves others on', () => {
    const kinds = [...changedContacts(N, SEED)].map(({ change }) => change)
    assert.ok(kinds.includes('insert') && kinds.includes('update'))
  })

  test('needs a thousand members', () => {
    assert.throws(() => [...changedMembers(999, SEED)], RangeError)
  })
})

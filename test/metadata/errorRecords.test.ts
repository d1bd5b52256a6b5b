import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NewErrorRecord } from '../../src/metadata/errorRecords.ts'
import { overBoth } from './stores.ts'

const record = (n: number, more: Partial<NewErrorRecord> = {}): NewErrorRecord => ({
  id: `e${String(n).padStart(6, '0')}`,
  run: `r${n % 3}`,
  job: 'j',
  table_name: n % 2 === 0 ? 'even' : 'odd',
  row_key: String(n),
  check_name: n % 10 === 0 ? 'ten' : 'other',
  severity: 'reject',
  category: 'DATA_INTEGRITY_ERROR',
  code: null,
  reason: `row ${n} is bad`,
  sensitive: [],
  record: { id: String(n), label: `it's "${n}"` },
  ...more,
})

const ROWS = 12_345

overBoth(fresh => {
  test('a queue of many rows: kept, paged, moved and closed in portions, while others use the store', async () => {
    const place = fresh()
    const [{ errors }, other] = [await place.open(), await place.open()]
    const all = Array.from({ length: ROWS }, (_, n) => record(n))
    const [first, last] = [all.slice(0, 10_000), all.slice(9_000)]
    // Some of them twice, in one go and in the next.
    await errors.add([...first, first[0]!, { ...first[1]!, reason: 'again' }])
    let longest = 0
    let isOver = false
    const beside = (async () => {
      while (!isOver) {
        const begun = performance.now()
        await other.leases.acquire('somebody', `p${begun}`, 0)
        longest = Math.max(longest, performance.now() - begun)
      }
    })()
    await errors.add(last)
    assert.equal((await errors.find('e000001'))!.reason, 'row 1 is bad')
    assert.equal((await errors.list({})).length, ROWS)

    const seen: string[] = []
    for await (const page of errors.pages({ table: 'even', state: 'open' }))
      seen.push(...page.map(({ id }) => id))
    assert.equal(new Set(seen).size, Math.ceil(ROWS / 2))
    assert.equal(seen.length, Math.ceil(ROWS / 2))

    const odd = ROWS - Math.ceil(ROWS / 2)
    assert.equal(await errors.moveAll({ table: 'odd', reason: 'ROW' }, 'open', 'queued'), odd)
    assert.equal(await errors.moveAll({ table: 'odd' }, 'open', 'queued'), 0)
    assert.equal(await errors.moveAll({ reason: 'ten' }, 'open', 'discarded'), Math.ceil(ROWS / 10))
    const ids = all.map(({ id }) => id)
    assert.equal(await errors.moveAll({ ids, run: 'r1' }, 'queued', 'open'), Math.floor(odd / 3) + 1)
    assert.equal(await errors.moveAll({ ids: [] }, 'open', 'discarded'), 0)
    const open = (await errors.among(ids, ['open'], { job: 'j' })).map(({ id }) => id)
    await errors.resolve(open, 'r9', 'open')
    assert.deepEqual(await errors.among(ids, ['open'], { job: 'j' }), [])
    const found = (await errors.find(open[0]!))!
    assert.deepEqual([found.state, found.resolved_by], ['resolved', 'r9'])
    // One that is found again is open again.
    await errors.add([record(Number(found.row_key))])
    assert.equal((await errors.find(found.id))!.state, 'open')
    const queued = await errors.list({ state: 'queued' })
    assert.ok(queued.every(({ attempts }) => attempts === 1))
    isOver = true
    await beside
    assert.ok(longest < 3000, `somebody waited ${longest} ms for the store`)
  })

  test('corrections queue what is open, each once', async () => {
    const { errors } = await fresh().open()
    await errors.add([record(1), record(2), record(3)])
    await errors.move('e000003', 'open', 'discarded')
    const corrections = new Map([1, 2, 3].map(n => [`e00000${n}`, { label: `right ${n}` }]))
    assert.equal(await errors.queueCorrected(corrections), 2)
    assert.equal(await errors.queueCorrected(corrections), 0)
    const found = (await errors.find('e000002'))!
    assert.deepEqual([found.state, found.attempts, found.correction], ['queued', 1, { label: 'right 2' }])
    assert.equal((await errors.find('e000003'))!.correction, null)
  })

  test('a correction that is queued, or holds, is exchanged for another or discarded, where that is asked for', async () => {
    const { errors } = await fresh().open()
    await errors.add([record(1), record(2)])
    const unclosed = ['open', 'queued', 'reprocessed'] as const
    const queue = (label: string) => errors.queueCorrected(new Map([['e000001', { label }]]), unclosed)
    const one = async () => {
      const { state, correction, attempts } = (await errors.find('e000001'))!
      return [state, correction?.label, attempts]
    }
    assert.equal(await queue('a'), 1)
    assert.equal(await queue('a'), 0, 'it has that already')
    assert.equal(await queue('b'), 1)
    assert.deepEqual(await one(), ['queued', 'b', 2])
    await errors.move('e000001', 'queued', 'reprocessed')
    assert.equal(await queue('b'), 0)
    assert.deepEqual(await one(), ['reprocessed', 'b', 2])
    assert.equal(await queue('c'), 1)
    assert.deepEqual(await one(), ['queued', 'c', 3])
    assert.equal(await errors.discard({ ids: ['e000001', 'e000002'] }), 2)
    assert.equal(await queue('d'), 0)
    assert.deepEqual(await errors.corrections('j', 'odd'), [])
  })

  test('a record that is open again has no correction any more', async () => {
    const { errors } = await fresh().open()
    await errors.add([record(1), record(2)])
    const ids = ['e000001', 'e000002']
    await errors.queueCorrected(new Map(ids.map(id => [id, { label: 'right' }])))
    await errors.move('e000001', 'queued', 'open')
    await errors.resolve(['e000002'], 'r9', 'queued')
    await errors.add([record(2)])
    for (const id of ids) {
      const { state, correction } = (await errors.find(id))!
      assert.deepEqual([state, correction], ['open', null])
    }
    assert.equal(await errors.moveAll({ ids }, 'open', 'queued'), 2)
    assert.deepEqual(await errors.corrections('j', 'odd'), [])
  })

  test('a record that is found again has the reason and the sensitive columns of now, in whatever state it is', async () => {
    const place = fresh()
    const { errors } = await place.open()
    await errors.add(Array.from({ length: 6 }, (_, n) => record(n)))
    await errors.queueCorrected(new Map([1, 2].map(n => [`e00000${n}`, { label: 'right' }])))
    await errors.move('e000002', 'queued', 'reprocessed')
    await errors.move('e000003', 'open', 'discarded')
    await errors.resolve(['e000004'], 'r9', 'open')
    const kept = async () =>
      (await errors.list({}))
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
        .map(({ state, updated_at, correction }) => ({ state, updated_at, correction }))
    const before = await kept()
    const again = { sensitive: ['label'], reason: 'label is masked-1', check_name: 'newer' }
    await errors.add(Array.from({ length: 5 }, (_, n) => record(n, again)))
    const after = await kept()
    assert.deepEqual(after.toSpliced(4, 1), before.toSpliced(4, 1))
    assert.equal(after[4]!.state, 'open')
    const found = (await errors.list({})).map(({ id, sensitive, reason, check_name }) => [
      id,
      sensitive,
      reason,
      check_name,
    ])
    const plain = found.find(([id]) => id === 'e000005')!
    assert.deepEqual(plain.slice(1), [[], 'row 5 is bad', 'other'])
    for (const each of found.filter(each => each !== plain))
      assert.deepEqual(each.slice(1), [['label'], 'label is masked-1', 'newer'])

    const marks = (await errors.marks('j')).filter(({ sensitive }) => sensitive.length === 0)
    assert.deepEqual(marks, [{ table_name: 'odd', sensitive: [] }])
    await errors.mark([{ id: 'e000005', sensitive: ['id'], reason: 'hidden' }])
    const { sensitive, reason, state } = (await errors.find('e000005'))!
    assert.deepEqual([sensitive, reason, state], [['id'], 'hidden', 'open'])
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ExtractSpec, TableSchema } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { planRead } from '../../engine/plan/plan.ts'
import { before } from '../../engine/plan/watermark.ts'
import type { Image } from '../../engine/staging/image.ts'
import type { Column } from '../../engine/types/logical.ts'

const column = (name: string, type: Column['type'], more: Partial<Column> = {}): Column => ({
  name,
  type,
  nullable: true,
  native: 'x',
  ...more,
})
const schema: TableSchema = {
  columns: [
    column('id', { kind: 'int', bits: 64, signed: true }),
    column('born', { kind: 'date' }, { inexact: 'zero dates' }),
    column('updated_at', { kind: 'timestamp', zoned: true }),
  ],
  key: ['id'],
  rows: 10,
}
const spec: ExtractSpec = {
  name: 'members',
  from: 'legacy',
  key: [],
  incremental: { column: 'updated_at', lag: 300_000_000 },
  columns: {},
  options: {},
}
const limits = { rows: 1000, bytes: 1 << 20 }
const point = { extract: 'members', value: '2026-01-01 00:00:00.000001+00', run: 'r1' }
const image = {
  columns: schema.columns,
  nights: [{ run: 'r1', columns: schema.columns, parts: [] }],
  parts: [],
}

test('a first night reads the whole table and says why', () => {
  const read = planRead({ now: new Date(), spec, schema, limits })
  assert.equal(read.since, undefined)
  assert.equal(read.unique, true)
  assert.deepEqual(read.key, ['id'])
  assert.match(read.notes.join('\n'), /whole table: no earlier load/)
})

test('only a policy that changes values is noted', () => {
  const notes = (policy?: 'null' | 'fail') =>
    planRead({
      now: new Date(),
      spec: { ...spec, columns: policy ? { born: policy } : {} },
      schema,
      limits,
    }).notes.join('\n')
  assert.match(notes('null'), /born \(x\): zero dates; policy null/)
  assert.doesNotMatch(notes('fail') + notes(), /born/)
})

test('a later night reads from the watermark less the lag', () => {
  const read = planRead({ now: new Date(), spec, schema, limits, last: { point, image } })
  assert.deepEqual(read.since, { column: 'updated_at', value: '2025-12-31 23:55:00.000001+00', nulls: true })
})

test('without its image, or with other columns, the whole table is read again', () => {
  assert.match(
    planRead({ now: new Date(), spec, schema, limits, last: { point, image: undefined } }).notes.join(),
    /no longer staged/,
  )
  const all = { columns: schema.columns, absent: [], key: ['id'], parts: [] }
  const whole = { now: new Date(), spec: { ...spec, incremental: undefined }, schema, limits, known: all }
  assert.match(planRead({ ...whole, last: { point, image: undefined } }).notes.join(), /or is damaged/)
  assert.equal(planRead({ ...whole, last: { point, image } }).notes.join(), '')
  const known = { ...all, columns: schema.columns.slice(0, 2) }
  const read = planRead({ now: new Date(), spec, schema, limits, last: { point, image }, known })
  assert.equal(read.since, undefined)
  assert.match(
    read.notes.join('\n'),
    /column updated_at \(x\) is new.*\n.*whole table: column updated_at is new/,
  )
})

test('a changed key or incremental column cannot build on the last image', () => {
  const known = { columns: schema.columns, absent: [], key: ['id'], watermark: 'born', parts: [] }
  const last = { point, image }
  const notes = (change: Partial<ExtractSpec>, was = {}) =>
    planRead({
      now: new Date(),
      spec: { ...spec, ...change },
      schema,
      limits,
      last,
      known: { ...known, ...was },
    }).notes.join()
  assert.match(notes({}), /whole table: its incremental column is updated_at now, was born/)
  assert.match(notes({ key: ['born'] }, { watermark: 'updated_at' }), /its key is born now, was id/)
  assert.equal(notes({}, { watermark: 'updated_at' }), '')
})

test('a quarantine policy stages the reasons beside the rows', () => {
  const read = planRead({
    now: new Date(),
    spec: { ...spec, columns: { born: 'quarantine' } },
    schema,
    limits,
  })
  assert.equal(read.columns.at(-1)!.name, '_nf_rejected')
})

const fails = (change: Partial<ExtractSpec>, code: string, pattern: RegExp, of = schema) =>
  assert.throws(
    () => planRead({ now: new Date(), spec: { ...spec, ...change }, schema: of, limits }),
    (error: EngineError) =>
      error instanceof EngineError && error.code === code && pattern.test(error.message),
  )

test('what is not there is named', () => {
  fails({ key: ['nr'] }, 'COLUMN_MISSING', /legacy\.members: key column nr/)
  fails({ columns: { nr: 'null' } }, 'COLUMN_MISSING', /nr/)
  fails({ incremental: { column: 'changed', lag: 0 } }, 'COLUMN_MISSING', /incremental column changed/)
  fails({}, 'CONFIG_INVALID', /needs a key/, { ...schema, key: [] })
})

test('a watermark less its lag is exact to the microsecond', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 4_000_000_000_000_000n), fc.integer({ min: 0, max: 10 ** 12 }), (at, lag) => {
      const text = (micros: bigint) =>
        `${new Date(Number(micros / 1000n)).toISOString().slice(0, 19).replace('T', ' ')}.${String(micros % 1_000_000n).padStart(6, '0')}`
      const from = at + BigInt(lag)
      assert.equal(before(text(from), { kind: 'timestamp', zoned: false }, lag), text(at))
      assert.equal(before(`${text(from)}+00`, { kind: 'timestamp', zoned: true }, lag), `${text(at)}+00`)
    }),
  )
  assert.equal(before('10', { kind: 'int', bits: 64, signed: true }, 3), '7')
  assert.equal(before('-32767', { kind: 'int', bits: 16, signed: true }, 3), '-32768')
  assert.equal(before('2', { kind: 'int', bits: 64, signed: false }, 3), '0')
  assert.equal(before('2026-03-01', { kind: 'date' }, 1), '2026-02-28')
  assert.equal(
    before('2026-01-01 00:00:00', { kind: 'timestamp', zoned: false }, 1),
    '2025-12-31 23:59:59.999999',
  )
  assert.equal(before('-0.50', { kind: 'decimal', precision: 5, scale: 2 }, 1), '-1.50')
})

test('watermarks of any year: text that DuckDB reads again, exact', () => {
  const day = 86_400_000_000
  const date = { kind: 'date' } as const
  const instant = { kind: 'timestamp', zoned: true } as const
  assert.equal(before('12026-03-01', date, 1), '12026-02-28')
  assert.equal(before('0001-01-01', date, day), '0001-12-31 (BC)')
  assert.equal(before('0001-03-01 (BC)', date, day), '0001-02-29 (BC)')
  assert.equal(before('0044-03-15 (BC) 00:00:00+00', instant, 1), '0044-03-14 (BC) 23:59:59.999999+00')
  assert.equal(before('294246-12-31 23:59:59.999999+00', instant, 0), '294246-12-31 23:59:59.999999+00')
})

test('rows of files that are gone can be read again only where the files are put back, and the hint says so', () => {
  const { incremental: _, ...files } = spec
  const plan = (accumulates: 'kept' | 'cleared', image?: Image) => () =>
    planRead({
      now: new Date(),
      spec: files,
      schema: { ...schema, accumulates },
      limits,
      last: { point, image },
    })
  const retyped = {
    ...image,
    columns: schema.columns.map(each => ({ ...each, type: { kind: 'text' } as const })),
  }
  const back = /put the earlier files back and give extract members another name/
  assert.throws(plan('cleared'), { code: 'STAGING_CORRUPT', hint: back })
  assert.throws(plan('cleared', retyped), { code: 'SCHEMA_DRIFT', hint: back })
  assert.throws(plan('kept', retyped), {
    code: 'SCHEMA_DRIFT',
    hint: /, or give extract members another name/,
  })
})

test('a watermark that lies in the future reads the whole table, and says so', () => {
  for (const value of ['12026-01-01 00:00:00+00', '9999-12-31 00:00:00+00']) {
    const read = planRead({
      now: new Date(),
      spec,
      schema,
      limits,
      last: { point: { ...point, value }, image },
    })
    assert.equal(read.since, undefined)
    assert.match(read.notes.join(), /watermark of the last load, \d+-.*, lies in the future/)
  }
})

test('a history goes on where earlier nights can be read as now, and is refused where not, but for a full refresh', () => {
  const number = column('change_number', { kind: 'int', bits: 64, signed: true })
  const columns = [...schema.columns, number]
  const known = { columns, absent: [], key: ['id', 'change_number'], parts: [] }
  const cursor = { position: 'p', number: 7 }
  const born = (type: Column['type'], native = 'y') => ({
    ...schema,
    columns: [schema.columns[0]!, column('born', type, { native }), schema.columns[2]!],
  })
  const read = (now: TableSchema, more = {}) =>
    planRead({
      now: new Date(),
      spec: {
        ...spec,
        incremental: undefined,
        changes: { history: true },
        drift: { incompatible: 'evolve' },
      },
      schema: now,
      limits,
      last: { point, image: { ...image, cursor } },
      known,
      log: { reader: 'r', until: 'q' },
      ...more,
    })
  const added = { ...schema, columns: [...schema.columns, column('more', { kind: 'text' })] }
  const { base, changes, notes } = read(added)
  assert.ok(base)
  assert.equal(changes!.reconcile, true)
  assert.equal(changes!.number, 7)
  assert.match(notes.join('\n'), /compares them, since column more is new/)
  const fullRefresh = /nightfreight run JOB --full-refresh/
  const text = born({ kind: 'int', bits: 32, signed: true })
  assert.throws(() => read(text), {
    code: 'SCHEMA_DRIFT',
    message: /its history cannot go on: column born changed its type/,
    hint: fullRefresh,
  })
  assert.throws(() => read(schema, { last: { point, image: undefined } }), {
    code: 'SCHEMA_DRIFT',
    hint: fullRefresh,
  })
  // Whoever accepts it is told at once what comes with that.
  const strict = { ...spec, incremental: undefined, changes: { history: true } }
  assert.throws(() => read(text, { spec: strict }), {
    code: 'SCHEMA_DRIFT',
    hint: /incompatible: evolve \}.*begin anew.*nightfreight run JOB --full-refresh/,
  })
  const renewed = read(text, { renew: 'a full refresh was asked for' })
  assert.equal(renewed.base, undefined)
  assert.match(renewed.notes.join('\n'), /what changed since the last load is not in its history/)
})

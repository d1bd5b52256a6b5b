import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DriftPolicy } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { type Change, changesOf, type DriftFacts, weigh } from '../../engine/plan/drift.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type Column, type LogicalType, typeFromName, typeName } from '../../engine/types/logical.ts'
import { widens } from '../../engine/types/widen.ts'

const int = fc.record({
  kind: fc.constant('int' as const),
  bits: fc.constantFrom(8 as const, 16 as const, 32 as const, 64 as const),
  signed: fc.boolean(),
})
const float = fc.record({
  kind: fc.constant('float' as const),
  bits: fc.constantFrom(32 as const, 64 as const),
})
const decimal = fc
  .tuple(fc.integer({ min: 1, max: 38 }), fc.nat(38))
  .map(([precision, scale]) => ({ kind: 'decimal' as const, precision, scale: scale % (precision + 1) }))
const number: fc.Arbitrary<LogicalType> = fc.oneof(int, float, decimal)
const type: fc.Arbitrary<LogicalType> = fc.oneof(
  number,
  fc.constantFrom<LogicalType>({ kind: 'text' }, { kind: 'date' }, { kind: 'timestamp', zoned: true }),
)
const column = fc.record({ name: fc.constantFrom(...'abcdef'), type, nullable: fc.boolean() })
const columns = fc
  .uniqueArray(column, { selector: ({ name }) => name })
  .map(list => list.map((each): Column => ({ ...each, native: typeName(each.type).toLowerCase() })))

const plain = (list: Column[]) =>
  list.map(({ name, type, nullable }) => `${name} ${typeName(type)} ${nullable}`).sort()

function apply(last: Column[], changes: Change[]): Column[] {
  const result = new Map(last.map(each => [each.name, each]))
  for (const { kind, column } of changes)
    if (kind === 'dropped') result.delete(column.name)
    else result.set(column.name, column)
  return [...result.values()]
}

test('the changes turn the last columns into those of now, whatever their order', () => {
  fc.assert(
    fc.property(columns, columns, (last, now) => {
      const changes = changesOf(last, now)
      assert.deepEqual(plain(apply(last, changes)), plain(now))
      const kinds = (list: Change[]) => list.map(({ kind, column }) => `${kind} ${column.name}`).sort()
      assert.deepEqual(kinds(changesOf(last.toReversed(), now.toReversed())), kinds(changes))
    }),
  )
})

test('the same columns in another order or case are no change', () => {
  fc.assert(
    fc.property(columns, list => {
      const shouted = list.toReversed().map(each => ({ ...each, name: each.name.toUpperCase() }))
      assert.deepEqual(changesOf(list, shouted), [])
    }),
  )
})

test('to widen is a strict order', () => {
  fc.assert(
    fc.property(number, number, number, (a, b, c) => {
      assert.ok(!widens(a, a))
      assert.ok(!(widens(a, b) && widens(b, a)))
      if (widens(a, b) && widens(b, c)) assert.ok(widens(a, c))
    }),
    { numRuns: 2000 },
  )
})

test('what widens keeps its limits and its smallest steps exactly, by the cast of DuckDB', async () => {
  const duck = await Duck.open({ threads: 1 })
  const types = [
    ...['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT'],
    ...['FLOAT', 'DOUBLE', 'DECIMAL(3,0)', 'DECIMAL(3,3)', 'DECIMAL(5,0)', 'DECIMAL(10,0)', 'DECIMAL(10,2)'],
    ...[
      'DECIMAL(12,2)',
      'DECIMAL(12,4)',
      'DECIMAL(19,0)',
      'DECIMAL(20,0)',
      'DECIMAL(38,0)',
      'DECIMAL(38,19)',
    ],
  ]
  const samples: string[] = []
  for (const from of types.map(name => typeFromName(name)!))
    for (const to of types.map(name => typeFromName(name)!))
      if (widens(from, to))
        for (const value of extremes(from)) {
          const was = `CAST('${value}' AS ${typeName(from)})`
          const became = `CAST(${was} AS ${typeName(to)})`
          samples.push(
            `SELECT '${value} ${typeName(from)} ${typeName(to)}' AS what, CAST(${became} AS ${typeName(from)}) = ${was} AS same`,
          )
        }
  assert.ok(samples.length > 200)
  const wrong = await duck.rows(`SELECT what FROM (${samples.join(' UNION ALL ')}) WHERE same IS NOT TRUE`)
  assert.deepEqual(wrong, [])
  duck.close()
  for (const [from, to] of [
    ['BIGINT', 'DOUBLE'],
    ['INTEGER', 'FLOAT'],
    ['BIGINT', 'UBIGINT'],
    ['UBIGINT', 'BIGINT'],
    ['DECIMAL(10,2)', 'DECIMAL(10,3)'],
    ['DECIMAL(10,2)', 'DOUBLE'],
    ['INTEGER', 'DECIMAL(9,0)'],
    ['DOUBLE', 'FLOAT'],
    ['INTEGER', 'VARCHAR'],
  ] as const)
    assert.equal(widens(typeFromName(from)!, typeFromName(to)!), false, `${from} ${to}`)
})

function extremes(type: LogicalType): string[] {
  if (type.kind === 'int') {
    const high = 2n ** BigInt(type.signed ? type.bits - 1 : type.bits) - 1n
    return [`${high}`, type.signed ? `${-high - 1n}` : '0', '1']
  }
  if (type.kind === 'decimal') {
    const digits = '9'.repeat(type.precision)
    const whole = digits.slice(type.scale) || '0'
    const most = type.scale > 0 ? `${whole}.${'9'.repeat(type.scale)}` : whole
    return [most, `-${most}`, type.scale > 0 ? `0.${'1'.padStart(type.scale, '0')}` : '1']
  }
  return ['0.1', '3.4028235e38', '-1e-45']
}

const facts = (more: Partial<DriftFacts> & { was: Column[]; now: Column[] }): DriftFacts => ({
  where: 'legacy.t',
  extract: 't',
  last: { columns: more.was, absent: [], key: ['k'], parts: [] },
  columns: more.now,
  key: ['k'],
  ownKey: false,
  named: [],
  ...more,
})
const of = (name: string, native: string): Column => ({
  name,
  native,
  type: typeFromName(native.toUpperCase())!,
  nullable: true,
})
const KEY = of('k', 'integer')

const KINDS: Record<keyof DriftPolicy, [was: Column[], now: Column[]]> = {
  added: [[], [of('x', 'integer')]],
  dropped: [[of('x', 'integer')], []],
  widened: [[of('x', 'integer')], [of('x', 'bigint')]],
  incompatible: [[of('x', 'bigint')], [of('x', 'integer')]],
}
const SAFE = { added: 'evolve', dropped: 'fail', widened: 'evolve', incompatible: 'fail' } as const

for (const kind of Object.keys(KINDS) as (keyof DriftPolicy)[])
  test(`${kind}: refused or gone along with, as the job says, and ${SAFE[kind]} where it says nothing`, () => {
    const [was, now] = KINDS[kind].map(list => [KEY, ...list]) as [Column[], Column[]]
    const outcome = (policy?: Partial<DriftPolicy>) => {
      try {
        return weigh(facts({ was, now, policy }))
      } catch (error) {
        assert.ok(error instanceof EngineError && error.code === 'SCHEMA_DRIFT', String(error))
        assert.match(error.message, /^legacy\.t: column x .* since the last load$/)
        assert.match(error.hint!, new RegExp(`extract\\.t of job\\.yaml: drift: \\{ ${kind}: evolve \\}`))
        return undefined
      }
    }
    assert.equal(outcome({ [kind]: 'fail' }), undefined)
    const evolved = outcome({ [kind]: 'evolve' })!
    assert.deepEqual(outcome(), SAFE[kind] === 'fail' ? undefined : evolved)
    assert.deepEqual([evolved.columns, evolved.absent, evolved.notes.length], [now, [], 1])
    assert.equal(evolved.whole.length, kind === 'added' || kind === 'incompatible' ? 1 : 0)
    if (kind !== 'added' && kind !== 'dropped') return
    const ignored = outcome({ [kind]: 'ignore' })!
    assert.deepEqual([ignored.columns, ignored.whole, ignored.notes.length], [[KEY], [], 1])
    assert.deepEqual(ignored.absent, kind === 'dropped' ? [of('x', 'integer')] : [])
  })

test('of files that are gone, a hint that has an extract read as new says that they come back first', () => {
  const hint = (name: string, accumulates: DriftFacts['accumulates']) => {
    const [was, now] = KINDS.incompatible.map(([column]) => [{ ...column!, name }]) as [Column[], Column[]]
    try {
      weigh(facts({ was, now, key: ['k'], accumulates }))
    } catch (error) {
      return (error as EngineError).hint!
    }
    return assert.fail()
  }
  const back = /put the earlier files back and give extract t another name/
  for (const name of ['x', 'k']) {
    assert.match(hint(name, 'cleared'), back)
    assert.match(hint(name, 'kept'), /give extract t another name/)
    assert.doesNotMatch(hint(name, 'kept'), back)
  }
  assert.match(hint('x', 'cleared'), /have the file written with its former type/)
})

test('a column kept as NULL is weighed again every night, and is new when it comes back', () => {
  const was = [KEY, of('x', 'integer')]
  const last = { columns: was, absent: ['x'], key: ['k'], parts: [] }
  const night = (now: Column[], policy?: Partial<DriftPolicy>) => weigh(facts({ was, now, last, policy }))
  assert.deepEqual(night([KEY], { dropped: 'ignore' }).absent, [of('x', 'integer')])
  assert.deepEqual(night([KEY], { dropped: 'evolve' }).absent, [])
  assert.throws(() => night([KEY]), { code: 'SCHEMA_DRIFT' })
  assert.match(night(was).whole.join(), /column x is new/)
})

test('a key column that goes or narrows is never accepted, unless the job names another key', () => {
  const policy: Partial<DriftPolicy> = { dropped: 'evolve', widened: 'evolve', incompatible: 'evolve' }
  const was = [KEY, of('l', 'integer'), of('x', 'integer')]
  const last = { columns: was, absent: [], key: ['k', 'l'], parts: [] }
  const night = (now: Column[], more: Partial<DriftFacts>) =>
    weigh(facts({ was, last, now, policy, ...more }))
  const dropped = [KEY, of('x', 'integer')]
  assert.throws(() => night(dropped, { key: ['k'] }), {
    code: 'SCHEMA_DRIFT',
    message: /key column l \(integer\) is gone/,
  })
  assert.throws(() => night([KEY, of('l', 'smallint'), of('x', 'integer')], { key: ['k', 'l'] }), {
    message: /key column l changed from integer to smallint/,
  })
  assert.deepEqual(night([KEY, of('l', 'bigint'), of('x', 'integer')], { key: ['k', 'l'] }).whole, [])
  assert.match(night(dropped, { key: ['k'], ownKey: true }).whole.join(), /its key is k now, was k, l/)
})

test('what the job itself changed is no drift, and reads the whole table', () => {
  const policy: DriftPolicy = { added: 'fail', dropped: 'fail', widened: 'fail', incompatible: 'fail' }
  const born: Column = { ...of('born', 'date'), inexact: 'zero dates' }
  for (const now of [
    { ...born, policy: 'text', type: { kind: 'text' } } as const,
    { ...born, policy: 'null' } as const,
  ]) {
    const drift = weigh(facts({ was: [KEY, born], now: [KEY, now], policy }))
    assert.match(drift.whole.join(), /column born is staged otherwise/)
  }
  const declared = facts({ was: [KEY, born], now: [KEY, of('new', 'date')], policy, declared: true })
  assert.deepEqual([weigh(declared).whole.length, weigh(declared).notes.length], [1, 2])
  const required = weigh(facts({ was: [KEY], now: [{ ...KEY, nullable: false }], policy }))
  assert.deepEqual([required.notes, required.whole], [['column k cannot be NULL any more'], []])
})

test('a column that the job names is read, also where new ones are ignored', () => {
  const now = [KEY, of('x', 'integer')]
  assert.deepEqual(weigh(facts({ was: [KEY], now, named: ['x'], policy: { added: 'ignore' } })).columns, now)
})

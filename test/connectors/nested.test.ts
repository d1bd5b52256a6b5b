import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { dialectOf } from '../../src/connectors/duckdb/columns.ts'
import { smallJob } from '../jobs/small.ts'

/** Where tables are loaded, and how one is read back. */
const TARGETS = {
  duckdb: {
    url: 'duckdb:w.duckdb',
    table: (_folder: string, name: string) => name,
    open: (folder: string) => Duck.open({ path: join(folder, 'w.duckdb') }),
  },
  lake: {
    url: 'lake:w',
    table: (folder: string, name: string) =>
      `read_parquet('${folder}/w/${name}/**/*.parquet', union_by_name = true)`,
    open: () => Duck.open({}),
  },
}
type Kind = keyof typeof TARGETS
const KINDS = Object.keys(TARGETS) as Kind[]

/** Nights of rows `id,v,begun` that models make into other columns; what is in each load's table after each, as texts. */
async function nights(
  kind: Kind,
  name: string,
  models: Record<string, string>,
  loads: Record<string, string>,
  shown: string,
  days: string[],
  fullRefresh?: string[],
  isVerified?: boolean,
) {
  const sql = Object.entries(models).map(([model, columns]) => [
    `${model}.sql`,
    `SELECT id, ${columns} FROM t`,
  ])
  const job = await smallJob({ after }, `${name}_${kind}`, { 'in/t.csv': '', ...Object.fromEntries(sql) })
  job.yaml(`connections: { s: "file:in", w: "${TARGETS[kind].url}" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, v: VARCHAR, begun: DATE } } }
load:
${Object.entries(loads)
  .map(([table, load]) => `  ${table}: { to: w, key: id, guard: { max_delete_share: 1 }, ${load} }\n`)
  .join('')}resources: { memory: 300MB, threads: 1 }
`)
  const found: Record<string, string[]>[] = []
  for (const day of days) {
    writeFileSync(join(job.folder, 'in/t.csv'), `id,v,begun\n${day}`)
    assert.equal((await job.run(fullRefresh && { fullRefresh })).error, undefined)
    const duck = await TARGETS[kind].open(job.folder)
    const tables: Record<string, string[]> = {}
    for (const table of Object.keys(loads)) {
      const rows = await duck.rows(
        `SELECT ${shown} AS shown FROM ${TARGETS[kind].table(job.folder, table)} ORDER BY 1`,
      )
      tables[table] = rows.map(row => String(row.shown))
    }
    duck.close()
    found.push(tables)
  }
  if (isVerified) {
    const { code, output } = await job.cli('verify', job.folder)
    assert.equal(code, 0, output)
  }
  return found
}

test("duckdb: a value that equals the new one makes way within the table's conditions", async () => {
  const duck = await Duck.open({})
  const native = { i: 'INTERVAL', s: 'STRUCT(d DOUBLE, n INTEGER)' }
  await duck.run(`CREATE TABLE t (id INT, i INTERVAL NOT NULL CHECK (i > INTERVAL '0 days'), s ${native.s} CHECK (struct_extract(s, 'd') >= 0 AND struct_extract(s, 'n') = 7));
    INSERT INTO t VALUES (1, INTERVAL '1 day', {d: 0.0, n: 7}), (2, INTERVAL '2 days', {d: 1.0, n: 7});
    CREATE TABLE staged AS SELECT 1 AS id, INTERVAL '24 hours' AS i, {d: -0.0::DOUBLE, n: 7} AS s`)
  const columns = Object.entries(native).map(([name, type]) => ({
    name,
    type: { kind: 'nested', name: type } as const,
    nullable: true,
    native: type,
  }))
  const set = columns.map(({ name }) => ({ column: name, value: `_nf_s.${name}` }))
  await duck.run(dialectOf(columns).update('t', set, '_nf_t.id = _nf_s.id', 'staged'))
  const rows = await duck.rows('SELECT concat(i, s) AS shown FROM t ORDER BY id')
  duck.close()
  assert.deepEqual(
    rows.map(({ shown }) => shown),
    ["24:00:00{'d': -0.0, 'n': 7}", "2 days{'d': 1.0, 'n': 7}"],
  )
})

for (const kind of KINDS) {
  test(`${kind}: an interval becomes one that DuckDB takes for the same`, async () => {
    const models = {
      one: 'v::INTERVAL AS v',
      list: '[v::INTERVAL] AS v',
      more: 'v::INTERVAL AS v, [id] AS l',
      within: "{'a b': v::INTERVAL} AS v",
      deeper: "{'n': length(v), 'in': {'a b': v::INTERVAL}} AS v",
    }
    const loads = Object.keys(models).flatMap(from => [
      [from, `from: ${from}`],
      [`${from}_anew`, `from: ${from}, mode: replace`],
      [`${from}_dated`, `from: ${from}, mode: scd2, compare: [v]`],
    ])
    const days = ['1 day', '24:00:00', '1 day'].map(first => `1,${first},\n2,2 days,\n`)
    const shown = "concat(id, ' ', replace(v::VARCHAR, '''', ''))"
    for (const [night, tables] of (
      await nights(kind, 'intervals', models, Object.fromEntries(loads), shown, days)
    ).entries())
      for (const [table, rows] of Object.entries(tables)) {
        const told = ['1 1 day', '1 24:00:00', '1 1 day'].map(row =>
          table.startsWith('list')
            ? row.replace(/ (.*)/, ' [$1]')
            : table.startsWith('within')
              ? row.replace(/ (.*)/, ' {a b: $1}')
              : table.startsWith('deeper')
                ? row.replace(/ (.*)/, (_, day) => ` {n: ${day.length}, in: {a b: ${day}}}`)
                : row,
        )
        const expected = table.endsWith('dated') ? told.slice(0, night + 1) : [told[night]!]
        assert.deepEqual(rows.filter(row => row.startsWith('1 ')).sort(), expected.sort(), table)
      }
  })

  test(`${kind}: zero becomes minus zero, and minus zero zero`, async () => {
    const models = {
      ...(kind === 'lake' && { double: 'v::DOUBLE AS v', float: 'v::FLOAT AS v' }),
      within: "{'d': v::DOUBLE} AS v",
    }
    const loads = Object.keys(models).flatMap(from => [
      [from, `from: ${from}`],
      [`${from}_anew`, `from: ${from}, mode: replace`],
    ])
    const days = ['0.0', '-0.0', '0.0', '7.0'].map(value => `1,${value},\n2,3.5,\n`)
    const found = await nights(
      kind,
      'zeros',
      models,
      Object.fromEntries(loads),
      "concat(id, ' ', v::VARCHAR)",
      days,
    )
    for (const [night, value] of ['0.0', '-0.0', '0.0', '7.0'].entries())
      for (const [table, rows] of Object.entries(found[night]!)) {
        const shown = (number: string) => (table.startsWith('within') ? `{'d': ${number}}` : number)
        assert.deepEqual(rows, [`1 ${shown(value)}`, `2 ${shown('3.5')}`], `${table}, night ${night}`)
      }
  })

  test(`${kind}: one minus zero among zeros is loaded and compared, in lists and structs, too`, async () => {
    const models = {
      within: "{'a b': v::DOUBLE, 'c': v} AS v",
      list: '[v::DOUBLE] AS v',
      deeper: "[{'n': id, 'f': [v::FLOAT]}, NULL] AS v",
    }
    const loads = Object.keys(models).map(from => [from, `from: ${from}`])
    const day = Array.from({ length: 300 }, (_, at) => `${at},${at === 7 ? '-0.0' : '0.0'},\n`).join('')
    const found = await nights(
      kind,
      'one_zero',
      models,
      Object.fromEntries(loads),
      "concat(id, ' ', v::VARCHAR)",
      [day, day],
      undefined,
      true,
    )
    for (const tables of found)
      for (const [table, rows] of Object.entries(tables)) {
        assert.equal(rows.length, 300, table)
        if (kind === 'lake') assert.match(rows.find(row => row.startsWith('7 '))!, /-0\.0/, table)
      }
  })

  test(`${kind}: a struct that has the key in it hides no row that is gone`, async () => {
    const names = ['t', 'k', 's', 'rows', 'parts', 'refreshed']
    const models = { made: `v, ${names.map(name => `{'id': id, 'v': v} AS ${name}`).join(', ')}` }
    const days = ['1,a,\n2,a,\n3,b,\n', '1,a,\n3,b,\n4,a,\n']
    const loads = {
      parts: 'from: made, mode: partition, partition_by: [v]',
      unverified: 'from: made, mode: partition, partition_by: [v], verify: off',
      refreshed: 'from: made, mode: replace, verify: off',
      deleted: 'from: made, deletes: hard, verify: off',
    }
    for (const [name, fullRefresh] of [
      ['struct_keys'],
      ['struct_keys_anew', ['refreshed', 'deleted']],
    ] as const) {
      const [, second] = await nights(
        kind,
        name,
        models,
        loads,
        "concat(id, ' ', t.v)",
        days,
        fullRefresh?.slice(),
      )
      for (const [table, rows] of Object.entries(second!))
        assert.deepEqual(rows, ['1 a', '3 b', '4 a'], table)
    }
  })

  test(`${kind}: a struct may have any name, and fields of the names of columns`, async () => {
    const names = [...'abcdefghijklmnopqrstuwxyz', 'staged', 'target', 'staging', 'last', 'keys', 'rows']
    const fields = [
      'id',
      'v',
      'begun',
      'valid_from',
      'valid_to',
      'is_current',
      'deleted_at',
      '_nf_from',
      '_nf_begins',
      '_nf_ended',
    ]
    const struct = `{${fields.map(field => `'${field}': 10 - id`).join(', ')}}`
    const models = { made: `begun, v, ${names.map(name => `${struct} AS ${name}`).join(', ')}` }
    const days = [
      '1,a,2026-01-01\n2,b,2026-01-01\n3,c,2026-01-01\n4,d,2026-01-01\n',
      '1,A,2026-01-02\n3,c,2026-01-01\n4,d,2026-01-01\n5,e,2026-01-02\n',
      '1,A,2026-01-02\n3,x,2026-01-01\n4,D,2026-01-03\n6,f,2026-01-01\n',
    ]
    const loads = {
      merged: 'deletes: hard',
      unverified: 'deletes: hard, verify: off',
      kept: 'deletes: soft',
      anew: 'mode: replace',
      newest: 'newer: begun, deletes: hard',
      dated: 'mode: scd2, deletes: hard',
      dated_newest: 'mode: scd2, newer: begun, deletes: hard',
    }
    const given = Object.entries(loads).map(([table, load]) => [table, `from: made, ${load}`])
    const shown = "concat(id, ' ', v, ' ', s.id)"
    const [last] = (await nights(kind, 'structs', models, Object.fromEntries(given), shown, days)).slice(-1)
    const now = ['1 A 9', '3 x 7', '4 D 6', '6 f 4']
    const [merged, versions] = [
      ['2 b 8', '5 e 5'],
      ['1 a 9', '2 b 8', '3 c 7', '4 d 6', '5 e 5'],
    ]
    assert.deepEqual(last, {
      merged: now,
      unverified: now,
      kept: [...now, ...merged].sort(),
      anew: now,
      newest: now,
      dated: [...now, ...versions].sort(),
      // What begins with a version's own day corrects it.
      dated_newest: [...now, ...versions.filter(row => row !== '3 c 7')].sort(),
    })
  })
}

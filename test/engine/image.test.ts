import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { foldNights } from '../../engine/extract/foldNights.ts'
import type { PlannedRead } from '../../engine/plan/plan.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { type Image, imageSql, type Night } from '../../engine/staging/image.ts'
import { type Column, typeFromName, typeName } from '../../engine/types/logical.ts'

const root = mkdtempSync(join(tmpdir(), 'nightfreight-image-'))
after(() => rmSync(root, { recursive: true, force: true }))

const column = (name: string, type: string): Column => ({
  name,
  type: typeFromName(type)!,
  nullable: true,
  native: type,
})
/** A column over the nights, ever wider, and a value that only its last type holds. */
const WIDER: Record<string, [types: string[], value: string]> = {
  n: [['TINYINT', 'INTEGER', 'BIGINT', 'DECIMAL(20,0)'], '12345678901234567890'],
  d: [['DECIMAL(4,2)', 'DECIMAL(6,2)', 'DECIMAL(9,4)'], '12345.6789'],
  f: [['FLOAT', 'DOUBLE'], '0.1'],
}
/** One night: ids written, ids found gone, how much wider each column is than the night before, what columns were not read. */
const night = fc.record({
  ids: fc.uniqueArray(fc.integer({ min: 1, max: 5 })),
  gone: fc.option(fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), { nil: undefined }),
  steps: fc.record({ n: fc.nat(1), d: fc.nat(1), f: fc.nat(1) }),
  lacking: fc.subarray(['n', 'd', 'f']),
})

let files = 0

test('nights with different columns are united by name, in the widest type, exactly, folded or not; what is gone is left out', async () => {
  const duck = await Duck.open({ threads: 1 })
  const build = fc.asyncProperty(
    fc.array(night, { minLength: 1, maxLength: 5 }),
    fc.boolean(),
    fc.boolean(),
    async (plan, unique, folds) => {
      const width: Record<string, number> = { n: 0, d: 0, f: 0 }
      const nights: Night[] = []
      const latest = new Map<number, Record<string, string | null>>()
      for (const [index, { ids, gone, steps, lacking }] of plan.entries()) {
        for (const [name, step] of Object.entries(steps))
          width[name] = Math.min(width[name]! + step, WIDER[name]![0].length - 1)
        const names = Object.keys(WIDER).filter(name => !lacking.includes(name))
        if (index % 2) names.reverse()
        const columns = [
          column('id', 'BIGINT'),
          ...names.map(name => column(name, WIDER[name]![0][width[name]!]!)),
        ]
        const text = (name: string) => {
          const [types, wide] = WIDER[name]!
          return width[name] === types.length - 1 ? wide : String(index)
        }
        const values = columns
          .slice(1)
          .map(({ name, type }) => `'${text(name)}'::${typeName(type)} AS ${name}`)
        const write = async (own: number[], list: string[]) => {
          if (own.length === 0) return []
          const file = `part-${files++}.parquet`
          await duck.run(
            `COPY (SELECT ${list.join(', ')} FROM (VALUES ${own.map(id => `(${id}::BIGINT)`).join(', ')}) AS v(id)) TO ${quote(join(root, file))} (FORMAT parquet)`,
          )
          return [{ file, rows: own.length, bytes: statSync(join(root, file)).size }]
        }
        // What a night finds gone, it has not read.
        const missing = gone?.filter(id => !ids.includes(id) && latest.has(id)) ?? []
        nights.push({
          run: String(index),
          columns,
          parts: await write(ids, ['id', ...values]),
          ...(missing.length > 0 && { gone: await write(missing, ['id']) }),
        })
        for (const id of missing) latest.delete(id)
        for (const id of ids)
          latest.set(
            id,
            Object.fromEntries(
              Object.keys(WIDER).map(name => [name, names.includes(name) ? text(name) : null]),
            ),
          )
      }
      const last = nights.at(-1)!.columns
      const seen = [
        column('id', 'BIGINT'),
        ...Object.keys(WIDER).map(name => column(name, WIDER[name]![0][width[name]!]!)),
      ]
      const image: Image = { columns: seen, nights, parts: nights.flatMap(({ parts }) => parts) }
      const read = { extract: 't', key: ['id'], unique, base: { image } } as unknown as PlannedRead
      // Folded or not, the table is the same: that tonight adds nothing keeps the columns as they are.
      const context = {
        duck,
        root,
        run: `r${files++}`,
        spec: { job: 'j' },
        fence: 1,
      } as unknown as RunContext
      const folded = folds ? await foldNights(context, read, 1) : undefined
      if (folds) assert.ok(folded ? folded.length < 3 : nights.length === 1)
      const tonight = { run: 'now', columns: nights.at(-1)!.columns, parts: [] }
      const sql = imageSql(root, folded ? { ...image, nights: [...folded, tonight] } : image, read)
      // A column that the last night lacks is NULL in every row.
      const expected = [...latest]
        .sort(([a], [b]) => a - b)
        .map(([id, row]) => ({
          id,
          ...Object.fromEntries(
            Object.entries(row).map(([name, value]) => [
              name,
              last.some(c => c.name === name) ? value : null,
            ]),
          ),
        }))
      const list = expected.map(
        ({ id, ...row }) =>
          `SELECT ${[`${id}::BIGINT AS id`, ...seen.slice(1).map(({ name, type }) => `${literal((row as Record<string, string | null>)[name]!)}::${typeName(type)} AS ${name}`)].join(', ')}`,
      )
      const rows = list.length > 0 ? list.join(' UNION ALL ') : `SELECT * FROM (${sql}) LIMIT 0`
      const differing = await duck.rows(
        `SELECT count(*) AS n FROM ((${sql}) EXCEPT ALL (${rows})) UNION ALL
         SELECT count(*) FROM ((${rows}) EXCEPT ALL (${sql}))`,
      )
      assert.deepEqual(differing, [{ n: 0 }, { n: 0 }])
      const described = await duck.rows(`DESCRIBE ${sql}`)
      assert.deepEqual(
        described.map(({ column_name, column_type }) => `${column_name} ${column_type}`),
        seen.map(({ name, type }) => `${name} ${typeName(type)}`),
      )
    },
  )
  const same = { steps: { n: 0, d: 0, f: 0 }, lacking: [] }
  const nothingRead = [
    { ...same, ids: [4], gone: undefined },
    { ...same, ids: [], gone: [4] },
  ]
  await fc.assert(build, {
    numRuns: 60,
    examples: [
      [nothingRead, true, false],
      [nothingRead, false, false],
      [nothingRead, true, true],
    ],
  })
  duck.close()
})

const literal = (value: string | null) => (value === null ? 'NULL' : `'${value}'`)

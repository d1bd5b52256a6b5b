import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import type { Preview } from '../../engine/diff/preview.ts'
import { changesTarget, planMarkdown } from '../../src/cli/planMarkdown.ts'
import { planText } from '../../src/cli/planText.ts'
import { tableText } from '../../src/cli/tableText.ts'
import type { RunResult } from '../../src/runs/result.ts'

const preview: Preview = {
  table: 'dim_members',
  to: 'warehouse',
  from: 'members',
  mode: 'merge',
  whole: false,
  counts: {
    rows: 1_000_001,
    inserts: 7,
    updates: 2,
    deletes: 1,
    superseded: 3,
    keptGone: 4,
    unchanged: 999_992,
  },
  older: 1,
  columns: [
    { name: 'name', rows: 2 },
    { name: 'fee', rows: 1 },
  ],
  samples: {
    inserts: [
      { key: { id: '8', region: 'eu' }, values: { a: '1', b: '2', c: '3', d: '4', e: '5', f: '6', g: '7' } },
    ],
    updates: [
      {
        key: { id: '7', region: 'eu' },
        values: {
          name: { before: 'Ada\n\u001b[31mL.', after: 'x'.repeat(60) },
          fee: { before: null, after: '' },
        },
      },
    ],
    deletes: [{ key: { id: '9', region: 'us' }, values: { a: null } }],
  },
  notes: ['the table has no column a: the load will be refused'],
}

const result = {
  run: 'R1',
  job: 'members',
  seconds: 3.21,
  estimates: { warehouse: 12 },
  outcome: {
    extracted: [{ extract: 'members', rows: 12_345 }],
    reads: [
      { extract: 'members', since: { column: 'seen', value: '2026-01-01' }, notes: ['column a is new'] },
    ],
    tables: [{ name: 'members', rejected: 1_200 }],
    previews: [preview],
    checks: [
      {
        name: 'fee',
        model: 'members',
        level: 'warn',
        rows: 3,
        samples: [{ reason: 'fee | <b>', record: '' }],
      },
      { name: 'seen', model: 'members', level: 'pass', rows: 0, samples: [] },
      {
        name: 'born',
        model: 'members',
        level: 'reject',
        rows: 1_200,
        samples: [{ reason: 'never', record: '' }],
      },
    ],
  },
} as unknown as RunResult

const NEXT = 'nightfreight run queries/members --from-plan R1'

test('a plan in a pipe: compact and aligned', () => {
  assert.equal(
    planText(result, NEXT, false),
    `members: plan R1, made in 3.2s

  read      members: 12,345 rows since 2026-01-01
            column a is new
  rejected  members: 1,200 rows to the quarantine: born 1,200
  warned    members: 3 rows by fee: fee | <b>

warehouse.dim_members  merge from members
  + 7 to insert   ~ 2 to update   - 1 to delete   999,992 unchanged   3 superseded   4 gone, kept
  of the updates, 1 is older than the target's row, which stays
  the table has no column a: the load will be refused
  columns changed: name 2, fee 1
    + id = 8, region = eu
        a  1
        b  2
        c  3
        d  4
        e  5
        f  6
        … of 7 columns
    + and 6 more to insert
    ~ id = 7, region = eu
        name  Ada \\u001b[31mL. → ${'x'.repeat(47)}…
        fee   NULL → ''
    ~ and 1 more to update
    - id = 9, region = us
        a  NULL

Plan: 7 to insert, 2 to update, 1 to delete.
The load takes about 12s, going by earlier ones.
Load exactly this:  nightfreight run queries/members --from-plan R1`,
  )
})

test('on a terminal the marks have colours, and nothing else differs', () => {
  const coloured = planText(result, NEXT, true)
  assert.match(coloured, /\[32m\+ 7 to insert/)
  assert.equal(stripVTControlCharacters(coloured), planText(result, NEXT, false))
})

test('as Markdown a plan is tables whose values are no markup', () => {
  const page = planMarkdown(result)
  const lines = page.split('\n')
  assert.deepEqual(lines.slice(0, 6), [
    '### Plan of members',
    '',
    '1 of 1 table would change.',
    '',
    '| table | insert | update | delete | unchanged |',
    '|---|---:|---:|---:|---:|',
  ])
  assert.equal(lines[6], '| `warehouse.dim_members` | 7 | 2 | 1 | 999,992 |')
  assert.ok(lines.includes('| `fee` | `members` | warn | 3 | fee &#124; &#60;b&#62; |'))
  assert.ok(lines.includes("| &#126; | id = 7, region = eu | fee | NULL | '' |".replace('&#126;', '~')))
  assert.ok(lines.includes('Shown: 1 of 2 updates, 1 of 7 inserts.'))
  assert.ok(lines.includes('To the quarantine: `members` 1,200 rows.'))
  assert.ok(!page.includes('seen'))
  assert.equal(page, stripVTControlCharacters(page))
})

test('a plan changes a target by rows, or by the columns of its table', () => {
  const counts = { ...preview.counts, inserts: 0, updates: 0, deletes: 0 }
  const of = (notes: string[]) => ({
    outcome: { ...result.outcome, previews: [{ ...preview, counts, notes }] },
  })
  assert.ok(changesTarget(result))
  assert.ok(!changesTarget(of([])))
  assert.ok(changesTarget(of(['the load changes the table: ALTER TABLE m ADD COLUMN a INTEGER;'])))
})

test('a table steers no terminal, also by the names of its columns; values that differ by that look different', () => {
  const lines = tableText(
    ['id\u001b[2J\n', 'v'],
    [
      ['1', '\u001b[31mred'],
      ['2', ' [31mred'],
      ['3', '\u202ea\r\nb'],
    ],
  )
  assert.deepEqual(lines, [
    'id\\u001b[2J   v',
    '────────────  ─────────────',
    '1             \\u001b[31mred',
    '2              [31mred',
    '3             \\u202ea b',
  ])
})

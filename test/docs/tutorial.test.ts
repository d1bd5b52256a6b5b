/** The tutorial, as it is written: its files, and every line of its shell, in an empty folder. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { putProgram } from '../program.ts'
import { freshPostgres } from '../servers.ts'

const ROOT = join(import.meta.dirname, '../..')
const { url, query } = await freshPostgres()
const place = mkdtempSync(join(tmpdir(), 'nightfreight-tutorial-'))
after(() => rmSync(place, { recursive: true }))

await query(`CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL, amount numeric(12,2));
  INSERT INTO orders SELECT i, CASE WHEN i % 4 = 0 THEN 'open' ELSE 'paid' END, i - 1.5 FROM generate_series(1, 100) AS i;
  CREATE TABLE customers (id int PRIMARY KEY, updated_at timestamptz NOT NULL)`)

test('every line of the tutorial does what it says', async () => {
  const bin = join(place, 'bin')
  putProgram(bin)
  // The package is tried elsewhere, installed.
  writeFileSync(join(bin, 'npm'), '#!/bin/sh\n', { mode: 0o755 })
  const text = readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8')
  const blocks = [...text.matchAll(/^```(sh|sql)\n([\s\S]*?)^```$/gm)]
  assert.ok(blocks.length > 8)
  let ran = 0
  for (const [, language, body = ''] of blocks) {
    if (language === 'sql') {
      const file = join(place, /^-- (\S+)\n/.exec(body)![1]!)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, body)
      continue
    }
    for (const line of body.trim().split('\n')) {
      if (line.startsWith('export SHOP_URL=')) continue
      const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', line], {
        cwd: place,
        encoding: 'utf8',
        env: {
          ...process.env,
          PATH: `${bin}:${process.env.PATH}`,
          SHOP_URL: url,
          METADATA_URL: '',
          NIGHTFREIGHT_HOME: join(place, '.nightfreight'),
        },
      })
      assert.equal(status, 0, `${line}\n${stdout}${stderr}`)
      ran++
    }
  }
  assert.ok(ran > 10)
  const duck = await Duck.open({ path: join(place, 'warehouse.duckdb') })
  try {
    assert.deepEqual(
      await duck.rows('SELECT status, orders::INTEGER AS orders FROM orders_by_status ORDER BY status'),
      [
        { status: 'open', orders: 25 },
        { status: 'paid', orders: 74 },
      ],
    )
  } finally {
    duck.close()
  }
})

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variable references of job.yaml, not of this file
/** What a job.yaml may not say, each with its line. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import { loadJob } from '../../src/config/load.ts'
import { draftOutline } from '../../src/config/outline.ts'
import { folder } from './folder.ts'
import { ENV, registry } from './registry.ts'

const HEAD = 'job: j\nconnections: { legacy: "${LEGACY}", api: "${API}" }\n'
const bad: [name: string, yaml: string, messages: string[]][] = [
  [
    'an unknown key',
    `${HEAD}extract:\n  members: { from: legacy, table: t, incrementel: { column: a } }\n`,
    ['job.yaml:4:38: unknown key "incrementel" in extract.members; did you mean "incremental"?'],
  ],
  [
    'an unknown key at the top',
    `${HEAD}extracts: {}\n`,
    ['job.yaml:3:1: unknown key "extracts"; did you mean "extract"?'],
  ],
  [
    'a wrong type',
    `${HEAD}extract:\n  m: { from: legacy, table: 12 }\n`,
    ['job.yaml:4:29: extract.m.table: expected a string; found 12'],
  ],
  [
    'a missing key',
    `${HEAD}extract:\n  m: { table: members }\n`,
    ['job.yaml:4:3: extract.m needs "from": a string'],
  ],
  [
    'several at once',
    `${HEAD}quality: { max_error_rate: 5 }\nresources: { memory: lots }\nsla: { max_duration: 6x }\n`,
    [
      'job.yaml:3:28: quality.max_error_rate: expected a number from 0 to 1; found 5',
      'job.yaml:4:22: resources.memory: expected a size such as 512MB or 1GB; found "lots"',
      'job.yaml:5:22: sla.max_duration: expected a duration such as 30s, 5m or 6h; found "6x"',
    ],
  ],
  [
    'a kind of drift, or a policy of it, that is none',
    `${HEAD}extract:\n  m: { from: legacy, table: t, drift: { droped: fail } }\n  n: { from: legacy, table: t, drift: { widened: ignore } }\n  o: { from: legacy, table: t, drift: ignore }\n`,
    [
      'job.yaml:4:41: unknown key "droped" in extract.m.drift; did you mean "dropped"?',
      'job.yaml:5:50: extract.n.drift.widened: expected evolve, fail; found "ignore"',
      'job.yaml:6:39: extract.o.drift: expected fail or a mapping; found "ignore"',
    ],
  ],
  [
    'a largest chunk below the smallest',
    `${HEAD}chunking: { default_chunk_size: 500, max_chunk_size: 400 }\n`,
    ['job.yaml:3:54: chunking.max_chunk_size: expected at least default_chunk_size; found 400'],
  ],
  [
    'an extract with one wrong value, and not the loads of it',
    `${HEAD}extract:\n  m: { from: legacy, table: t, key: id, sensitive: id, incremental: { column: a, lag: 0.5 } }
  n: { from: legacy, table: t, key: 5, mode: changes }\nload:\n  m: { to: legacy, from: m }\n  n: { to: legacy, from: n }\nschedule: { follow: {} }\n`,
    [
      "job.yaml:4:87: extract.m.incremental.lag: expected a duration such as 5m, or a whole number for an integer column's units; found 0.5",
      'job.yaml:5:37: extract.n.key: expected a string or a list; found 5',
    ],
  ],
  [
    'an unknown connection',
    `${HEAD}extract:\n  m: { from: legcy, table: t, key: id }\nload: { m: { to: legacy, from: m } }\n`,
    ['job.yaml:4:14: extract.m.from: no connection "legcy"; did you mean "legacy"?'],
  ],
  [
    'a load from nothing, into what cannot be loaded',
    `${HEAD}extract:\n  m: { from: legacy, table: t }\nload:\n  x: { to: api, from: n, key: [] }\n`,
    [
      'job.yaml:6:12: load.x.to: http cannot be loaded into',
      'job.yaml:6:23: load.x.from: no model or extract "n"',
      'job.yaml:6:31: load.x.key: mode merge needs a key',
    ],
  ],
  [
    'options that have no meaning in the mode of a load',
    `${HEAD}extract:\n  m: { from: legacy, table: t, key: id }\ndefaults: { load: { to: legacy, from: m } }\nload:
  a: { mode: merge, scd2: { valid_from: since } }
  b: { mode: replace, compare: v }
  c: { mode: partition, partition_by: id, ignore: v }
  d: { mode: scd2, deletes: soft, deleted_at: gone }\n`,
    [
      'job.yaml:7:27: load.a.scd2: goes with mode scd2, not merge',
      'job.yaml:8:14: load.b.mode: postgres knows merge, not replace',
      'job.yaml:8:32: load.b.compare: has no meaning in mode replace; take it away',
      'job.yaml:9:14: load.c.mode: postgres knows merge, not partition',
      'job.yaml:9:51: load.c.ignore: has no meaning in mode partition; take it away',
      'job.yaml:10:14: load.d.mode: postgres knows merge, not scd2',
      'job.yaml:10:47: load.d.deleted_at: goes with mode merge and deletes: soft',
    ],
  ],
  [
    'a key that has a column twice',
    `${HEAD}extract:\n  m: { from: legacy, table: t }\nload:\n  x: { to: legacy, from: m, key: [id, ID] }\n`,
    ['job.yaml:6:34: load.x.key: names one twice; found ["id", "ID"]'],
  ],
  [
    'a table without a name',
    `${HEAD}extract:\n  m: { from: legacy, table: t }\nload:\n  "": { to: legacy, from: m, key: id }\n`,
    ['job.yaml:6:3: load: a table needs a name'],
  ],
  [
    'a second document',
    `${HEAD}---\na: 1\n`,
    ['job.yaml:3:1: a second document begins here (---): a file is one'],
  ],
  [
    'a tag, an anchor that is not there, and keys that are one text',
    `${HEAD}vars: { a: !vault x, b: *none, 1: x, "1": y, c: !!timestamp 2026-01-31 }\n? [d]\n: e\n`,
    [
      'job.yaml:3:12: Unresolved tag: !vault: a tag means nothing here; a value from elsewhere is a reference, such as ${NAME}',
      'job.yaml:3:25: there is no &none before *none',
      'job.yaml:3:38: the key 1 stands there twice',
      'job.yaml:3:49: Unresolved tag: tag:yaml.org,2002:timestamp: a tag means nothing here; a value from elsewhere is a reference, such as ${NAME}',
      'job.yaml:4:3: expected a text for a key',
    ],
  ],
  [
    'an alias that comes back to where it stands',
    `${HEAD}extract: { m: { from: legacy, table: t, columns: &v { x: *v } }, n: { <<: [*v, 5] } }\n`,
    [
      'job.yaml:3:58: *v stands within &v, which it is: that would have no end',
      'job.yaml:3:71: extract.n: << needs a mapping, or a list of them: *NAME of an anchor &NAME',
    ],
  ],
  [
    'a variable that is rounded, or that another is to SQL',
    `${HEAD}vars: { id: 9007199254740993, a: 1, A: 2, RUN_AT: x, last_values: y }\n`,
    [
      'job.yaml:3:13: vars.id: expected a number of at most 15 digits; one that has more is exact in quotes: "9007199254740993"; found 9007199254740992',
      'job.yaml:3:40: vars.A: expected another name: a is the same to SQL; found 2',
      'job.yaml:3:51: vars.RUN_AT: expected another name: run_at is the run\'s own time; found "x"',
      'job.yaml:3:67: vars.last_values: expected another name: last_values is what checks gave in the last run; found "y"',
    ],
  ],
  [
    'a variable that is not set',
    'job: j\nconnections:\n  legacy: ${NOPE}\n',
    [
      'job.yaml:3:11: connections.legacy: environment variable NOPE is not set: export it, or give a default, ${NOPE:-default}',
    ],
  ],
  [
    'an unknown scheme',
    'job: j\nconnections: { a: "postgrs://u:pw@h/d" }\n',
    [
      'job.yaml:2:19: connections.a: no connector for scheme "postgrs"; did you mean "postgres"?; known schemes: postgres, postgresql, http, https',
    ],
  ],
  [
    'a value from a variable shows the variable',
    `${HEAD}load: { x: { to: legacy, from: m, key: a, mode: "\${LEGACY}" } }\n`,
    ['job.yaml:3:49: load.x.mode: expected append, merge, replace, partition, scd2; found "${LEGACY}"'],
  ],
  [
    'a parameter where the connector has none',
    `${HEAD}extract:\n  m: { from: legacy, table: t, incremental: { column: a, param: s } }\n`,
    ['job.yaml:4:58: extract.m.incremental.param: a postgres connection takes no parameter'],
  ],
]
for (const [name, yaml, messages] of bad)
  test(`refuses ${name}`, async () => {
    const path = await folder(yaml)
    await assert.rejects(loadJob(path, ENV, { registry }), (error: unknown) => {
      assert.ok(error instanceof EngineError)
      assert.equal(error.code, 'CONFIG_INVALID')
      assert.deepEqual(
        error.message.split('\n'),
        messages.map(message => join(path, message)),
      )
      return true
    })
  })

test('what SQL needs of a job tells of an extract with one wrong value once, too', async () => {
  const path = await folder(
    'job: j\nextract: { m: { key: id, incremental: { column: a, lag: 0.5 } } }\nload: { m: { to: dw, from: m } }\nconnections: { dw: "duckdb:x" }\n',
  )
  const { faults } = await draftOutline(path, () => [])
  assert.deepEqual(
    faults.map(({ message }) => message.split(':')[0]),
    ['extract.m.incremental.lag'],
  )
})

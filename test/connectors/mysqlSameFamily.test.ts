import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { smallJob } from '../jobs/small.ts'
import { type FreshDatabase, freshMariadb } from '../servers.ts'

const shapes = ({ query, name }: FreshDatabase) =>
  query(
    `SELECT column_name AS name, column_type AS type, is_nullable AS nullable, column_default AS fallback, collation_name AS collation
       FROM information_schema.columns WHERE table_schema = '${name}' AND table_name = 'kinds' ORDER BY ordinal_position`,
  )

test('constants, NOT NULL and character sets go along', async () => {
  const [source, target] = [await freshMariadb(), await freshMariadb()]
  await source.query(`CREATE TABLE kinds (id int PRIMARY KEY, v varchar(5) CHARACTER SET latin1 COLLATE latin1_german1_ci NOT NULL DEFAULT 'x''y',
      n decimal(65,30) DEFAULT 1.5, e enum('b', 'a') NOT NULL DEFAULT 'a', at timestamp(3) NULL DEFAULT current_timestamp(3),
      b bit(3) NOT NULL DEFAULT b'101', u uuid DEFAULT uuid());
    INSERT INTO kinds (id, v) VALUES (1, 'ä')`)
  const job = await smallJob({ after }, 'same_constants', {
    'job.yaml': `connections: { s: "${source.url}", w: "${target.url}" }
extract: { kinds: { from: s, table: kinds } }
load: { kinds: { to: w, from: kinds, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  assert.equal((await job.run()).error, undefined)
  const wanted = (await shapes(source)).map(column =>
    /\(/.test(String(column.fallback)) ? { ...column, fallback: 'NULL' } : column,
  )
  assert.deepEqual(await shapes(target), wanted)
})

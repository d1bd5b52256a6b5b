import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { freshMariadb } from '../servers.ts'

test('x', async t => {
  const a = await freshMariadb(t)
  const b = await freshMariadb(t)
  const q = a.query
  const [v] = await q('SELECT version() AS v, database() AS d, @@log_bin_compress AS c')
  console.log(v)
  await q(
    'CREATE TABLE t (id int PRIMARY KEY, n int) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (100), PARTITION p2 VALUES LESS THAN (1000))',
  )
  await q('SET STATEMENT max_statement_time=10 FOR TRUNCATE TABLE t')
  await q('SET STATEMENT max_statement_time=10, lock_wait_timeout=3 FOR ALTER TABLE t DROP PARTITION p0')
  await q("ALTER TABLE t COMMENT 'it''s # here', DROP PARTITION p1").catch(e => console.log(String(e)))
  await q('CREATE TABLE `a#b` (id int)')
  await q('RENAME TABLE `a#b` TO c, t TO t2')
  await q("EXECUTE IMMEDIATE 'TRUNCATE t2'")
  await q('BEGIN NOT ATOMIC TRUNCATE t2; END')
  await q('DROP TABLES c')
  await q('ANALYZE TABLE t2').catch(e => console.log(String(e)))
  await q('OPTIMIZE TABLE t2')
  await q('REPAIR TABLE t2')
  await q('CREATE SEQUENCE sq')
  await q('SELECT NEXT VALUE FOR sq')
  await q('SET SESSION binlog_format=STATEMENT').catch(e => console.log(String(e)))
  await q(
    'CREATE FUNCTION f() RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO t2 VALUES (500, 1); RETURN 1; END',
  ).catch(e => console.log(String(e)))
  await q('SELECT f()').catch(e => console.log(String(e)))
  await q('DO f()').catch(e => console.log(String(e)))
  await q('SET @x = f()').catch(e => console.log(String(e)))
  await q('SET SESSION binlog_format=ROW')
  await q('CREATE TABLE w (id int PRIMARY KEY, n int)')
  await b.query(`USE ${v!.d}`)
  await q('START TRANSACTION')
  await q('INSERT INTO w VALUES (1, 1)')
  await delay(2000)
  await b.query('INSERT INTO w VALUES (2, 1)')
  await delay(2000)
  await q('INSERT INTO w VALUES (3, 1)')
  await delay(2000)
  await q('COMMIT')
  const files = await q('SHOW BINARY LOGS')
  const last = files.at(-1)!.Log_name
  const ev = await q(`SHOW BINLOG EVENTS IN '${last}'`)
  for (const e of ev.filter(e => !/Table_map|Annot/.test(String(e.Event_type))))
    if (String(e.Info).length < 300) console.log(e.Pos, e.Event_type, e.Info)
  const dd = await q('SELECT @@log_bin_basename AS f')
  const { execFileSync } = await import('node:child_process')
  try {
    console.log(
      execFileSync('sh', [
        '-c',
        `ls /work/*/mariadb* 2>/dev/null; which mariadb-binlog mysqlbinlog; mariadb-binlog ${String(dd[0]!.f).replace(/[^/]*$/, '')}${last} | tail -60`,
      ]).toString(),
    )
  } catch (e) {
    console.log(String(e))
  }
})

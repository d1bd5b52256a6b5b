import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshMariadb } from '../servers.ts'
import { failsWith, readTable, signal, source, spec } from './mysqlRead.ts'

test('bytes that Unicode has no character for are found, whatever the character set; what only looks like them stays', async t => {
  const db = await freshMariadb(t)
  // Character set, bytes without a counterpart, and bytes that have one though they hold 0x3F or have a twin.
  const sets: [string, string, string, string, shown?: string][] = [
    ['sjis', 'F040', '3F835C', '?ソ'],
    ['cp932', '8540', 'FA4A3F', 'Ⅰ?'],
    ['gbk', 'FEFE', '3FB0A1', '?啊'],
    ['big5', 'C8FE', '3FA440', '?一'],
    ['ujis', '8FA1A1', '3FB0A1', '?亜'],
    ['cp1251', '98', '3FE4', '?д'],
    ['cp1257', '81', '3FE0', '?ą'],
    ['greek', 'D2', '3FE1', '?α'],
    ['ascii', '80', '3F41', '?A'],
    ['ucs2', 'D83D', '003F3F41', '?㽁', 'EDA0BD'],
    ['utf8mb4', 'EDA0BD', '3FF09F9880', '?😀'],
    ['utf8mb3', 'EDA0BD', '3FE6BCA2', '?漢'],
  ]
  for (const [charset, bad, good, text, shown = bad] of sets) {
    const show = (bytes: string) => `_binary x'${bytes}'`
    await db.query(
      `DROP TABLE IF EXISTS u; CREATE TABLE u (id int PRIMARY KEY, v varchar(9) CHARACTER SET ${charset});
       INSERT IGNORE INTO u VALUES (1, CONVERT(${show(good)} USING ${charset}))`,
    )
    // A conversion checks what a table of another day does not.
    await db.query(`INSERT IGNORE INTO u VALUES (2, ${show(bad)})`)
    const [held] = await db.query<{ bytes: string }>('SELECT HEX(v) AS bytes FROM u WHERE id = 2')
    assert.equal(held!.bytes, bad, charset)
    const { rows } = await readTable(db.url, 'u', { policies: { v: 'quarantine' } })
    const [first, second] = rows.sort((a, b) => Number(a[0]) - Number(b[0]))
    assert.deepEqual(first, ['1', text, null], charset)
    assert.deepEqual(second!.slice(0, 2), ['2', null], charset)
    assert.match(String(second![2]), new RegExp(`"column":"v","value":"0x${shown}"`), charset)
    await assert.rejects(
      readTable(db.url, 'u', { policies: { v: 'fail' } }),
      failsWith('VALUE_INEXACT', new RegExp(`legacy\\.u\\.v: "0x${shown}"`)),
    )
  }
})

test('columns that the user may not read are said to be left out', async t => {
  const db = await freshMariadb(t)
  await db.query(
    'CREATE TABLE shown (id int PRIMARY KEY, v int, secret int); INSERT INTO shown VALUES (1, 2, 3)',
  )
  const user = `reader_${db.name}`.slice(-30)
  await db.query(
    `CREATE USER '${user}'@'%' IDENTIFIED BY 'pw'; GRANT SELECT (id, v) ON shown TO '${user}'@'%'`,
  )
  const url = new URL(db.url)
  url.username = user
  url.password = 'pw'
  try {
    const schema = await source(url.href).describe(spec('shown', {}), signal)
    assert.deepEqual(
      schema.columns.map(({ name }) => name),
      ['id', 'v'],
    )
    assert.match(schema.notes!.join(), /may not SELECT are left out/)
    assert.deepEqual((await source(db.url).describe(spec('shown', {}), signal)).notes, [])
  } finally {
    await db.query(`DROP USER '${user}'@'%'`)
  }
})

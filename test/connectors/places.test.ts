import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connectorFor, connectors } from '../../src/connectors/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-places-'))
after(() => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'real'))
writeFileSync(join(folder, 'real/dw.duckdb'), '')
symlinkSync(join(folder, 'real'), join(folder, 'linked'))

function placeOf(settings: string | { url: string }, tables = ['orders']): string {
  const given = typeof settings === 'string' ? { url: settings } : settings
  const { config, place } = connectorFor(given.url, connectors)
  return place!(config.parse(given), { name: 'a', baseDir: folder }, tables)
}

test('every connector that can be loaded into says where its connections lead', () => {
  for (const { name, capabilities, place } of connectors)
    assert.equal(place !== undefined, capabilities.target, name)
})

/** Ways to write one place. */
const SAME: (string | { url: string; [key: string]: unknown })[][] = [
  [
    'postgres://a:b@localhost/dw',
    'postgresql://c@127.0.0.1:5432/dw?sslmode=disable',
    'postgres://LOCALHOST:5432/dw?connect_timeout=3',
    { url: 'postgres://localhost/dw', user: 'u', password: 'p' },
    'postgres://dw@localhost',
    'postgres://[::1]:5432/dw',
    'postgres://localhost/%64w',
  ],
  [
    'mysql://a:b@db.example/shop',
    'mariadb://DB.example.:3306/shop',
    'mysql://db.example/SHOP?ssl-mode=REQUIRED',
    { url: 'mysql://db.example:3306/shop', user: 'u' },
  ],
  [
    'duckdb:real/dw.duckdb',
    'duckdb:linked/dw.duckdb',
    `duckdb://${folder}/real/../linked/dw.duckdb`,
    'duckdb:./real/dw%2Educkdb',
  ],
  ['duckdb:real/new.duckdb', 'duckdb:linked/new.duckdb'],
  ['lake:real', 'lake:linked/', `lake://${folder}/linked`, 'lake:./nothing/../real'],
  ['lake:s3://bucket/a/b', 'lake:s3://bucket/a/b/', { url: 'lake:s3://bucket/a/b', region: 'eu-west-1' }],
]

test('a table of MySQL may be of another database', () => {
  const [one, other] = ['mysql://db.example/shop', 'mysql://db.example/shop_dev'].map(url =>
    placeOf(url, ['dw.orders']),
  )
  assert.equal(one, other)
})

test('a place is the same however it is written, and other places are others', () => {
  const places = SAME.map(group => new Set(group.map(each => placeOf(each))))
  for (const [index, found] of places.entries())
    assert.equal(found.size, 1, [...found].join(', ') + SAME[index])
  assert.equal(new Set(places.flatMap(found => [...found])).size, SAME.length)
  const others = [
    ['postgres://localhost:5433/dw', 'postgres://localhost/dw'],
    ['postgres://localhost/dw2', 'postgres://localhost/dw'],
    ['mysql://db.example/shop', 'mysql://db.example/shop_dev'],
    ['lake:s3://bucket/a', 'lake:s3://bucket/ab'],
  ]
  for (const [a, b] of others) assert.notEqual(placeOf(a!), placeOf(b!))
  assert.ok(
    placeOf('mysql://db.example/shop').startsWith(`${placeOf('mysql://db.example')}/`),
    'without a database, all of them',
  )
})

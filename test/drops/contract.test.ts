import assert from 'node:assert/strict'
import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { globOf } from '../../src/copy/folder.ts'
import { dropOptions } from '../../src/drops/options.ts'
import type { DropSource } from '../../src/drops/source.ts'
import { surveyFiles } from '../../src/init/surveyFiles.ts'
import { night, type Place } from './nights.ts'
import { localPlace, s3For, s3Place, sftpPlace, sshdFor, testFolder } from './places.ts'

const folder = testFolder()
const sshd = await sshdFor(folder)
const server = await s3For()
const schema = { id: 'BIGINT' }
let places = 0

const MAKERS: Record<string, () => Place | Promise<Place>> = {
  local: () => localPlace(join(folder, `local-${++places}`)),
  sftp: () => sftpPlace(join(folder, `sftp-${++places}`), sshd),
  s3: () => s3Place(server, `bucket-${++places}`),
}

const ids = ({ rows }: { rows: (string | null)[][] }) => rows.map(([id]) => id).sort()

for (const [name, make] of Object.entries(MAKERS))
  describe(`a drop on ${name}`, () => {
    test('a file is taken once, also when it was moved away and back; a changed one is taken again, and said', async () => {
      const place = await make()
      await place.put('a.csv', 'id\n1\n')
      await place.put('other.txt', 'x')
      const files = { files: '*.csv', schema }
      const first = await night(place, files)
      assert.deepEqual(ids(first), ['1'])
      const second = await night(place, files, first)
      assert.deepEqual(ids(second), [])
      await place.put('b.csv', 'id\n2\n')
      const third = await night(place, files, second)
      assert.deepEqual(ids(third), ['2'])
      if (name !== 'sftp') {
        // Another time, the same content: what copying away and back does.
        await place.put('a.csv', 'id\n1\n')
        assert.deepEqual(ids(await night(place, files, third)), [])
      }
      await place.put('a.csv', 'id\n3\n')
      const fourth = await night(place, files, third)
      assert.deepEqual(ids(fourth), ['3'])
      assert.deepEqual(fourth.notes, ['a.csv was taken before and has changed: taken as new'])
      // A run that was not committed leaves nothing behind.
      assert.deepEqual(ids(await night(place, files, third)), ['3'])
    })

    test('a folder of one kind of files is found to be that, any other is said', async () => {
      const place = await make()
      const names = () => {
        const source = place.source() as DropSource<unknown>
        return globOf(source.entries(new AbortController().signal)).finally(() => source.close())
      }
      await place.put('a.csv.gz', 'x')
      await place.put('b c.csv.gz', 'x')
      await place.put('.hidden', 'x')
      assert.equal(await names(), '*.csv.gz')
      await place.put('below/c.csv.gz', 'x')
      await assert.rejects(names(), /does not hold files of one kind: \.csv\.gz, below\//)
    })

    test('a file that is called as a glob is meant itself by its name, and a glob is one all the same', async () => {
      const place = await make()
      const named = ['orders[1].csv', 'orders1.csv', 'a(b) {c,d}.csv', 'a(b) c.csv', 'c.csv']
      for (const each of named) await place.put(each, 'id\n1\n')
      const source = place.source() as DropSource<unknown>
      const meant = async (typed: string) => {
        const files = [await source.globOf(typed)]
        const entries = await source.matching(dropOptions.parse({ files }), new AbortController().signal)
        return entries.map(({ name }) => name)
      }
      try {
        for (const each of named) assert.deepEqual(await meant(each), [each])
        assert.deepEqual(await meant('orders[12].csv'), ['orders1.csv'])
        assert.deepEqual(await meant('{c,d}.csv'), ['c.csv'])
        assert.deepEqual(await meant('*r*.csv'), ['orders1.csv', 'orders[1].csv'])
      } finally {
        await source.close()
      }
    })

    test('files of a folder are the tables that their names say, each as it is written', async () => {
      const place = await make()
      const { signal } = new AbortController()
      await place.put('day/orders_2026-01-30.csv', 'id;amount\n007;1.50\n')
      await place.put('day/orders_2026-01-31.csv', 'id;amount\n8;2.25\n')
      await place.put('events.ndjson', '{"id":1,"at":"2026-01-31"}\n{"id":2}\n')
      await place.put('none.csv', '')
      await place.put('read me.doc', 'x')
      const source = place.source() as DropSource<unknown>
      try {
        const { tables, left } = await surveyFiles(
          source,
          { url: 'file:/drop', folder: true },
          { tables: [], exclude: [], set: [] },
          signal,
        )
        assert.deepEqual(
          tables
            .map(({ extract, files }) => ({ extract, ...files! }))
            .map(({ found, bytes, ...rest }) => ({
              ...rest,
              rows: found.rows,
              types: found.types,
            })),
          [
            {
              extract: 'events',
              globs: ['events.ndjson'],
              keys: {},
              count: 1,
              typed: 1,
              rows: [
                ['1', '2026-01-31'],
                ['2', null],
              ],
              types: ['BIGINT', 'DATE'],
            },
            {
              extract: 'orders',
              globs: ['day/orders_*.csv'],
              keys: { delimiter: ';' },
              count: 2,
              typed: 2,
              rows: [['007', '1.50']],
              types: ['VARCHAR', 'DECIMAL(38,2)'],
            },
          ],
        )
        assert.deepEqual(
          left.map(({ name }) => name),
          ['read me.doc', 'none.csv'],
        )
      } finally {
        await source.close()
      }
    })

    test('names with newlines, Unicode and wildcards; folders; order', async () => {
      const place = await make()
      // moto's HTTP server takes no newline in a path.
      const odd = name === 's3' ? 'tab\there.csv' : 'new\nline.csv'
      const names = ['ü ñ.csv', odd, 'a[1]*.csv', 'deep/er/x.csv']
      for (const [index, file] of names.entries()) await place.put(file, `id\n${index}\n`)
      const taken = await night(place, { files: '**/*.csv', schema })
      assert.deepEqual(ids(taken), ['0', '1', '2', '3'])
      assert.deepEqual(ids(await night(place, { files: ['deep/er/*.csv', 'a*.csv'], schema })), ['2', '3'])
      const ordered = await night(place, { files: '*.csv', schema })
      assert.deepEqual(
        ordered.rows.map(([id]) => id),
        ['2', '1', '0'],
      )
      await assert.rejects(night(place, { files: '../*.csv', schema }), { code: 'PERMISSION_DENIED' })
      await assert.rejects(night(place, { files: '/etc/*.csv', schema }), { code: 'PERMISSION_DENIED' })
    })

    test('after the commit files are moved, archived or deleted, once; others of their name are let be', async () => {
      const place = await make()
      const options = { files: '**/*.csv', schema, after: 'move', to: 'done', marker: '{name}.ok' }
      await place.put('a.csv', 'id\n1\n')
      await place.put('late.csv', 'id\n9\n')
      await place.put('a.csv.ok', '')
      const first = await night(place, options)
      assert.deepEqual(ids(first), ['1'])
      assert.deepEqual(first.notes, ['late.csv waits for its marker late.csv.ok'])
      assert.deepEqual(await place.names(), ['a.csv', 'a.csv.ok', 'late.csv'])
      await first.release()
      await first.release()
      assert.deepEqual(await place.names(), ['done/a.csv', 'late.csv'])
      // The same name again: neither file is lost.
      await place.put('a.csv', 'id\n22\n')
      await first.release()
      assert.ok((await place.names()).includes('a.csv'))
      await place.put('a.csv.ok', '')
      const second = await night(place, options, first)
      assert.deepEqual(ids(second), ['22'])
      await second.release()
      const left = await place.names()
      assert.equal(left.length, 3)
      assert.equal(await place.get('done/a.csv'), 'id\n1\n')
      assert.ok(left.some(file => /^done\/a\.[0-9a-f]{8}\.csv$/.test(file)))

      const archived = await night(place, { files: 'late.csv', schema, after: 'archive', to: 'kept' })
      await archived.release()
      assert.ok((await place.names()).some(file => /^kept\/\d{4}-\d\d-\d\d\/late\.csv$/.test(file)))
      await place.put('z.csv', 'id\n5\n')
      const deleted = await night(place, { files: 'z.csv', schema, after: 'delete' })
      await deleted.release()
      await deleted.release()
      assert.ok(!(await place.names()).includes('z.csv'))
    })

    test('a content that comes back after another is new, and is moved once it is loaded', async () => {
      const place = await make()
      const options = { files: '*.csv', schema, after: 'move', to: './done//' }
      let last: Awaited<ReturnType<typeof night>> | undefined
      for (const id of ['1', '22', '1']) {
        await place.put('a.csv', `id\n${id}\n`)
        last = await night(place, options, last)
        assert.deepEqual(ids(last), [id])
        await last.release()
        assert.ok(!(await place.names()).includes('a.csv'))
      }
      assert.deepEqual(ids(await night(place, { ...options, files: '**/*.csv' }, last)), [])
    })

    test('a file that another extract reads, too, is moved once both have taken it', async () => {
      const place = await make()
      const options = { files: '*.csv', schema, after: 'move', to: 'done' }
      await place.put('a.csv', 'id\n1\n')
      const one = await night(place, options)
      await place.put('late.csv', 'id\n2\n')
      const other = await night(place, options)
      const beside = ({ cursor }: { cursor: unknown }) => [{ options: dropOptions.parse(options), cursor }]
      await other.release([{ options: dropOptions.parse(options), cursor: undefined }])
      assert.deepEqual(await place.names(), ['a.csv', 'late.csv'])
      await other.release(beside(one))
      assert.deepEqual(await place.names(), ['done/a.csv', 'late.csv'])
      const next = await night(place, options, one)
      assert.deepEqual(ids(next), ['2'])
      await next.release(beside(other))
      assert.deepEqual(await place.names(), ['done/a.csv', 'done/late.csv'])
    })

    test('rows come in the order of the files, whatever their formats', async () => {
      const place = await make()
      const duck = await Duck.open({ threads: 1 })
      const path = join(folder, 'order.parquet')
      for (let file = 0; file < 20; file++) {
        const name = `o_${String(file).padStart(2, '0')}`
        await duck.run(`COPY (SELECT ${file}::BIGINT AS id) TO ${quote(path)} (FORMAT parquet)`)
        if (file % 2 === 0) await place.put(`${name}.csv`, `id\n${file}\n`)
        else await place.put(`${name}.parquet`, readFileSync(path))
      }
      duck.close()
      const { rows } = await night(place, { files: 'o_*', schema })
      assert.deepEqual(
        rows.map(([id]) => Number(id)),
        Array.from({ length: 20 }, (_, file) => file),
      )
    })

    test('many files are moved into a folder that is not there yet, by several that want it at once', async () => {
      const place = await make()
      for (let index = 0; index < 20; index++) await place.put(`${index}.csv`, `id\n${index}\n`)
      const taken = await night(place, { files: '*.csv', schema, after: 'move', to: 'done/deep' })
      await taken.release()
      const names = await place.names()
      assert.equal(names.length, 20)
      for (const moved of names) assert.match(moved, /^done\/deep\/\d+\.csv$/)
    })

    test('a file that is still being written is left for the next run', async () => {
      const place = await make()
      await place.put('a.csv', 'id\n1\n')
      await place.put('growing.csv', 'id\n2\n')
      const reading = night(place, { files: '*.csv', schema, settle: '1500ms' })
      setTimeout(() => void place.put('growing.csv', 'id\n2\n3\n'), 700)
      const first = await reading
      assert.deepEqual(ids(first), ['1'])
      assert.deepEqual(first.notes, ['growing.csv is still being written: left for the next run'])
    })

    test('a bad file stops the run, or is left and said while the others load', async () => {
      const place = await make()
      await place.put('a.csv', 'id\n1\n')
      await place.put('b.csv.gz', gzipSync('id\n2\n').subarray(0, 15))
      await place.put('c.csv', 'name\nx\n')
      await assert.rejects(night(place, { files: '*', schema }), {
        code: 'DECODE_FAILED',
        message: /^drop b\.csv\.gz: is not whole gzip: unexpected end of file$/,
      })
      const options = { files: '*', schema, on_bad_file: 'quarantine', after: 'delete' }
      const first = await night(place, options)
      assert.deepEqual(ids(first), ['1'])
      assert.deepEqual(
        first.rejected.map(({ column }) => column),
        ['b.csv.gz', 'c.csv'],
      )
      assert.match(
        first.notes.join('\n'),
        /b\.csv\.gz is bad and left where it is: drop b\.csv\.gz: is not whole/,
      )
      await first.release()
      assert.deepEqual(await place.names(), ['b.csv.gz', 'c.csv'])
      assert.deepEqual((await night(place, options, first)).rejected, [])
      // Sent again, whole.
      await place.put('b.csv.gz', gzipSync('id\n2\n'))
      assert.deepEqual(ids(await night(place, options, first)), ['2'])
    })

    test('what is passed over is said: a folder where a file is asked for, and links', async () => {
      const path = join(folder, `links-${name}`)
      const place =
        name === 'local' ? localPlace(path) : name === 'sftp' ? sftpPlace(path, sshd) : await make()
      await place.put('a.csv', 'id\n1\n')
      await place.put('day.csv/part-0.csv', 'id\n2\n')
      await place.put('deep/b.csv', 'id\n3\n')
      const taken = await night(place, { files: '*.csv', schema })
      assert.deepEqual(ids(taken), ['1'])
      assert.deepEqual(taken.notes, ['day.csv/ is a folder: files: "day.csv/*" reads what is in it'])
      if (name === 's3') return
      symlinkSync('a.csv', join(path, 'latest.csv'))
      symlinkSync('gone.csv', join(path, 'lost.csv'))
      symlinkSync('deep', join(path, 'linked'))
      symlinkSync(join(folder, 'elsewhere'), join(path, 'deep/nowhere'))
      const all = await night(place, { files: '**/*.csv', schema })
      assert.deepEqual(ids(all), ['1', '2', '3'])
      assert.deepEqual(all.notes.sort(), [
        'latest.csv is a link to a.csv, and passed over: that is read itself',
        'linked/ is a link to a folder, which is not followed: a connection with that folder reads it',
        'lost.csv is a link that leads nowhere',
      ])
      // By its own name alone.
      assert.deepEqual(ids(await night(place, { files: 'latest.csv', schema })), ['1'])
    })

    test('many files, and one of many ranges, come whole', async () => {
      const place = await make()
      const lines = Array.from({ length: 20_000 }, (_, index) => `${String(index + 1000).padEnd(500)}x`)
      await place.put('big.csv', `id\n${lines.join('\n')}\n`)
      for (let index = 0; index < 60; index++) await place.put(`small-${index}.csv`, `id\n${index}\n`)
      const { rows } = await night(place, { files: '*.csv', schema: { id: 'VARCHAR' } })
      assert.equal(rows.length, 20_060)
      assert.equal(new Set(rows.map(([id]) => id)).size, 20_060)
    })
  })

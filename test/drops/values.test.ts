import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Duck } from '../../engine/sql/duckdb.ts'
import { dropOptions, textFormat } from '../../src/drops/options.ts'
import { ValueReader } from '../../src/drops/values.ts'
import { BadFile } from '../../src/formats/bad.ts'
import { TypeFinder } from '../../src/formats/inferTypes.ts'
import { openText } from '../../src/formats/textFile.ts'
import { styleOf } from '../../src/formats/textFormat.ts'
import { testFolder } from './places.ts'

const folder = testFolder()
const csv = textFormat(dropOptions.parse({ files: '*' }), 'csv')
const formats = { csv, ndjson: { ...csv, format: 'ndjson' as const } }

interface File {
  format: keyof typeof formats
  text: string
}

class CountingFinder extends TypeFinder {
  asked = 0

  override async add(...how: Parameters<TypeFinder['add']>): Promise<void> {
    this.asked++
    await super.add(...how)
  }
}

/** Types of some files, and what was said of those that cannot be read; `each`: no file's rows wait for another's. */
async function look(duck: Duck, files: File[], each: boolean) {
  const finder = new CountingFinder(styleOf(csv))
  const values = new ValueReader(duck, folder, finder)
  const said: string[] = []
  for (const [index, { format, text }] of files.entries())
    try {
      const where = `file ${index}`
      const blocks = (async function* () {
        yield Buffer.from(text)
      })()
      const opened = await openText(where, blocks, formats[format], undefined)
      if (opened) await values.read(where, opened)
      if (each) await values.finish()
    } catch (error) {
      if (!(error instanceof BadFile)) throw error
      said.push(error.message)
    }
  await values.finish()
  return { types: finder.types(), said, asked: finder.asked }
}

const cell = fc.constantFrom('1', '2.50', '', '2026-01-31', 'true', 'x', '9'.repeat(25))
const row = fc.tuple(cell, cell)
const file: fc.Arbitrary<File> = fc.oneof(
  fc
    .record({
      format: fc.constant('csv' as const),
      head: fc.constantFrom('a,b', 'b,a', 'a,c'),
      rows: fc.array(row, { maxLength: 4 }),
    })
    .map(({ format, head, rows }) => ({
      format,
      text: [head, ...rows.map(cells => cells.join(','))].join('\n'),
    })),
  fc.array(row, { minLength: 1, maxLength: 4 }).map(rows => ({
    format: 'ndjson' as const,
    text: rows.map(([a, d]) => JSON.stringify({ a, d })).join('\n'),
  })),
  fc.constantFrom<File>(
    { format: 'ndjson', text: 'nothing\nof the kind' },
    { format: 'ndjson', text: '{}' },
    { format: 'csv', text: 'a,b\n1,2,3\n4,5,6' },
    { format: 'csv', text: 'a,b\n7,8\n"never closed' },
  ),
)

test('types of files are the same whether their rows wait for each other or not, and so is what is said of each', async () => {
  const duck = await Duck.open({ threads: 1 })
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(file, { minLength: 1, maxLength: 6 }), async files => {
        const [apart, together] = [await look(duck, files, true), await look(duck, files, false)]
        assert.deepEqual(together.types, apart.types)
        assert.deepEqual(together.said, apart.said)
      }),
      { numRuns: 20 },
    )
  } finally {
    duck.close()
  }
})

test('a thousand small files that are written alike are asked about at once', async () => {
  const duck = await Duck.open({ threads: 1 })
  try {
    const files = Array.from(
      { length: 1000 },
      (_, index): File => ({ format: 'csv', text: `a,b\n${index},x\n` }),
    )
    const { types, asked } = await look(duck, files, false)
    assert.equal(types.a!.type, 'BIGINT')
    assert.equal(asked, 1)
  } finally {
    duck.close()
  }
})

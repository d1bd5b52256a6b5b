// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variable references of job.yaml, not of this file
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Document } from '../../src/config/document.ts'
import { expand, unveil, veil } from '../../src/config/variables.ts'
import { verbatim, yamlOf } from '../../src/config/verbatim.ts'
import { keysBelow, withEntries } from '../../src/config/yaml.ts'
import { parseBytes, parseDuration } from '../../src/util/units.ts'

test('durations', () => {
  for (const [text, micros] of [
    ['5m', 300e6],
    ['0', 0],
    ['1h30m', 5400e6],
    ['1.5s', 1.5e6],
    ['20us', 20],
  ] as const)
    assert.equal(parseDuration(text), micros, text)
  for (const text of ['', '5', 'm', '5x', '-5m', '5m!']) assert.equal(parseDuration(text), undefined, text)
})

test('sizes', () => {
  for (const [text, bytes] of [
    ['1GB', 1e9],
    ['512MB', 512e6],
    ['2GiB', 2 ** 31],
    ['1.5kb', 1500],
  ] as const)
    assert.equal(parseBytes(text), bytes, text)
  for (const text of ['', '5', '0GB', 'GB', '-1GB']) assert.equal(parseBytes(text), undefined, text)
})

test('variables', async () => {
  const text = 'a: ${X:-{b,c: "d"} # ${Y}'
  assert.equal(unveil(veil(text)), text)
  assert.equal(veil(text).length, text.length)
  const put = async (written: string, env: Record<string, string>) => {
    const { text, problems } = await expand(written, { env, folder: '/' })
    return problems.length > 0 ? problems : text
  }
  assert.equal(await put('${A}/${B:-x}/${C:-}/$${A}', { A: '$&' }), '$&/x//${A}')
  assert.equal((await put('${A} ${b-c}', {})).length, 2)
  const env = { B: 'b', PASSWORD: 'p@ss/w#r%d?x: é', BOTH: 'me:pw@1' }
  for (const [written, expected] of [
    ['${A:-${B}}', 'b'],
    ['${A:-x${C:-${B}}y}', 'xby'],
    ['${B:-${NOT_ASKED}}', 'b'],
    ['${A:-{"k": [1]}}', '{"k": [1]}'],
    ['${cmd:echo "${B}" | tr b c; printf %s x}', 'c\nx'],
    [
      'postgres://u:${PASSWORD}@h:1/${B}?x=${B}',
      `postgres://u:${encodeURIComponent(env.PASSWORD)}@h:1/b?x=b`,
    ],
    ['${SCHEME:-sftp}://u:${PASSWORD}@h', `sftp://u:${env.PASSWORD}@h`],
    ['s3://${BOTH}@bucket/${B}', 's3://me:pw%401@bucket/b'],
    ['https://${B}/x@${PASSWORD}', `https://b/x@${env.PASSWORD}`],
    ['$${', '${'],
    ['{$${ a ${B} $$${', '{${ a b $${'],
  ] as const)
    assert.equal(await put(written, env), expected, written)
  for (const [written, problem] of [
    ['${A:-${C}}', 'environment variable C is not set'],
    ['${A', 'has no }'],
    ['${safe:x}', 'is no reference; expected ${NAME}, ${NAME:-default}, ${file:/run/secrets/name}'],
    ['${file:/nothing/here}', '${file:/nothing/here}: /nothing/here cannot be read (ENOENT)'],
    ['${cmd:exit 3}', '${cmd:exit 3}: the command ended with 3'],
  ] as const)
    assert.ok((await put(written, env))[0]!.includes(problem), written)
})

test('a text of whoever asks for a job stands in it as it is, whatever it holds, keys too', async () => {
  const pieces = [
    '${HOME}',
    '${',
    '$',
    '{',
    '}',
    '"',
    "'",
    '\\',
    '\n',
    ' ',
    '#',
    ': ',
    ',',
    'a',
    '${cmd:x}',
    '- ',
  ]
  const text = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map(all => all.join(''))
  const long = fc.tuple(text, text).map(([a, b]) => `${a} ${'word '.repeat(30)}${b}`)
  await fc.assert(
    fc.asyncProperty(fc.oneof(text, long), text, text, async (a, b, key) => {
      const value = { query: a, columns: [b, a], schema: { [`k${key}`]: b }, header: true }
      for (const options of [{}, { collectionStyle: 'flow' }] as const) {
        const yaml = yamlOf({ url: '${HOME}', extract: verbatim(value) }, options)
        const { value: read } = await Document.open('job.yaml', yaml, { env: { HOME: '/me' }, folder: '/' })
        assert.deepEqual(read, { url: '/me', extract: value }, yaml)
      }
    }),
  )
})

test('a text with references is the one that their values were put into, whatever they hold', async () => {
  const value = fc.string({ unit: 'grapheme' })
  await fc.assert(
    fc.asyncProperty(value, value, async (a, b) => {
      const { text } = await expand('<${A}|${N:-${B}}>', { env: { A: a, B: b || 'x' }, folder: '/' })
      assert.equal(text, `<${a}|${b || 'x'}>`)
      const url = (await expand('mysql://u:${A}@h/d', { env: { A: a }, folder: '/' })).text
      assert.equal(decodeURIComponent(/^mysql:\/\/u:([^@/?#]*)@h\/d$/.exec(url)![1]!), a)
    }),
  )
})

test('entries are added to a file, whose references and comments stay as they are', () => {
  const text = `# Ours.
connections:
  base: { url: "postgres://h/db", password: \${Q} } # unquoted
  lake: duckdb:x
`
  const added = { connections: { dw: '${DW_URL}' }, load: {} }
  assert.equal(withEntries('c.yaml', text, added), `${text}  dw: \${DW_URL}\n`)
  assert.deepEqual(keysBelow(text, 'connections'), ['base', 'lake'])
  for (const empty of ['', '# none\n', 'connections:\n'])
    assert.deepEqual(keysBelow(withEntries('c.yaml', empty, added), 'connections'), ['dw'])
  assert.match(
    withEntries('c.yaml', 'connections: # shared\n  # none yet\nx: 1\n', added),
    /^connections:\n {2}dw: .*\n.*# shared\n.*# none yet\n/,
  )
  const elsewhere = 'x: &c { a: b }\nconnections: *c\n'
  assert.throws(
    () => withEntries('c.yaml', elsewhere, added),
    /c\.yaml:2:1: connections is no mapping that stands here itself: add dw by hand/,
  )
  assert.throws(
    () => withEntries('c.yaml', '<<: { connections: { a: b } }', added),
    /no mapping that stands here/,
  )
  assert.throws(() => withEntries('c.yaml', 'a: [b\n', added), /c\.yaml:\d:\d: /)
  assert.throws(() => withEntries('c.yaml', '[a]', added), /c\.yaml:1:1: expected a mapping/)
})

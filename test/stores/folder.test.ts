import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeFolder } from '../../src/util/folder.ts'

test('a folder is made with those above it, once, and what cannot be made fails at once', t => {
  const root = mkdtempSync(join(tmpdir(), 'nightfreight-folder-'))
  t.after(() => rmSync(root, { recursive: true }))
  const path = join(root, 'a', 'b', 'c')
  assert.equal(makeFolder(path, 0o700), join(root, 'a'))
  assert.equal(statSync(join(root, 'a')).mode & 0o777, 0o700)
  assert.equal(makeFolder(path), undefined)
  const file = join(root, 'file')
  writeFileSync(file, '')
  assert.throws(() => makeFolder(file), {
    code: 'CONFIG_INVALID',
    message: `${file}: it is a file, not a folder`,
  })
  assert.throws(() => makeFolder(join(file, 'x')), { code: 'ENOTDIR' })
  // Node's recursive mkdir asks for this one for ever.
  if (process.platform === 'linux')
    assert.throws(() => makeFolder('/proc/x/y'), {
      code: 'CONFIG_INVALID',
      message: /lets no folder be made/,
    })
})

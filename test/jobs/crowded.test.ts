import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const ROOT = join(import.meta.dirname, '../..')

/** What is printed by a process that does `act` once it has every file open that it may, `back()` gives them back, and `after`. */
async function crowded(imports: string, act: string, after = ''): Promise<string[]> {
  const script = `
import { closeSync, openSync, rmSync } from 'node:fs'
${imports}
const files = []
const back = () => files.splice(0).forEach(file => closeSync(file))
try {
  for (;;) files.push(openSync('/dev/null'))
} catch {}
const say = ({ code, exitCode, hint }) => console.log(code, exitCode, /ulimit -n|Check the machine/.test(hint))
${act}
back()
${after}`
  const shell = `ulimit -n 48; exec '${process.execPath}' --input-type=module-typescript -e "$0"`
  const { stdout } = await promisify(execFile)('sh', ['-c', shell, script], { timeout: 60_000 })
  return stdout.trim().split('\n')
}

const from = (names: string, module: string) =>
  `import { ${names} } from ${JSON.stringify(join(ROOT, module))}`
const SAID = 'RESOURCE_EXHAUSTED 75 true'

test('a thread that cannot start fails what was asked of it, and the next one starts', async () => {
  const said = await crowded(
    `${from('Workers', 'engine/pool/pool.ts')}
     const workers = new Workers(1)
     const ask = () => workers.offload('node:path', 'basename', '/there/it is', new AbortController().signal)`,
    `const asked = ask()
     asked.catch(() => {})
     await new Promise(resolve => setTimeout(resolve, 500))
     back()
     await asked.catch(say)`,
    'console.log(await ask()); await workers.close()',
  )
  assert.deepEqual(said, [SAID, 'it is'])
})

test('a store and a folder say what the machine has no more of', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-crowded-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const here = JSON.stringify(dir)
  const said = await crowded(
    [from('Sqlite', 'src/metadata/sqlite.ts'), from('systemError', 'engine/errors.ts')].join('\n'),
    `try { new Sqlite(${here} + '/metadata.db') } catch (error) { say(error) }
     try { rmSync(${here}, { recursive: true }) } catch (error) { say(systemError(error)) }`,
  )
  assert.deepEqual(said, [SAID, SAID])
})

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const VERSION = '5.2.5'
const folder = join(
  process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
  'nightfreight-test',
  `moto-${VERSION}`,
)

/**
 * Path of moto's server, installed into a virtual environment of the tests' own cache where it is not. Throws with the
 * line to type where there is no Python that can make one.
 */
export function ensureMoto(): string {
  const server = join(folder, 'bin', 'moto_server')
  if (existsSync(server)) return server
  console.error(`moto is missing: installing it into ${folder}.`)
  mkdirSync(folder, { recursive: true })
  try {
    execFileSync('python3', ['-m', 'venv', folder], { stdio: ['ignore', 2, 2] })
    execFileSync(join(folder, 'bin', 'pip'), ['install', '-q', `moto[server,s3]==${VERSION}`], {
      stdio: ['ignore', 2, 2],
    })
  } catch (cause) {
    throw new Error(
      'the S3 tests need Python 3 with venv. Type:\n\n    sudo apt-get install python3-venv\n',
      { cause },
    )
  }
  return server
}

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** For one of the test files that want it at one time; the others find it done. */
const INSTALL = '[ -e "$2" ] || { python3 -m venv "$0" && "$0/bin/pip" install -q $1 && mkdir "$2"; }'

/**
 * The folder of programs of a virtual environment of the tests' own cache, with a package from PyPI, or what is `wanted`
 * (requirements, with spaces between), which is installed where it is not. Throws with the line to type where there is no Python that can make one.
 */
export function pythonWith(name: string, version: string, wanted = `${name}==${version}`): string {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  const folder = join(cache, 'nightfreight-test', `${name}-${version}`)
  const done = join(folder, 'installed')
  if (existsSync(done)) return join(folder, 'bin')
  console.error(`${name} is missing: installing it into ${folder}.`)
  mkdirSync(folder, { recursive: true })
  try {
    execFileSync('flock', [`${folder}.lock`, 'sh', '-f', '-c', INSTALL, folder, wanted, done], {
      stdio: ['ignore', 2, 2],
    })
  } catch (cause) {
    throw new Error('these tests need Python 3 with venv. Type:\n\n    sudo apt-get install python3-venv\n', {
      cause,
    })
  }
  return join(folder, 'bin')
}

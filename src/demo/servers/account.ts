import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** An operating-system account that a server runs as. */
export interface Account {
  name: string
  uid: number
  gid: number
}

/**
 * Whom a database server runs as. Both servers refuse root, so as root the first existing account of `names` is
 * taken, else `nobody`: no account is ever created on the user's machine. Undefined when we are not root.
 */
export async function serverAccount(names: string[]): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  for (const name of [...names, 'nobody']) {
    try {
      const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
      return { name, uid: Number(uid.stdout), gid: Number(gid.stdout) }
    } catch {}
  }
  throw new Error(
    `running as root, and there is no account ${names.join(' or ')} or nobody to run a server as`,
  )
}

/** The first folder on the way to `path` that others may not pass through, or undefined. */
export async function blockedFolder(path: string): Promise<string | undefined> {
  for (let folder = await realpath(path); ; folder = dirname(folder)) {
    const { mode } = await stat(folder)
    if ((mode & 0o001) === 0) return folder
    if (folder === dirname(folder)) return undefined
  }
}

/**
 * Makes `dir` (a new or existing folder) passable for `account` and creates `name` inside, owned by it, mode 700.
 * Returns the inner path. Throws where a folder above `dir` shuts the account out.
 */
export async function ownedFolder(dir: string, name: string, account: Account | undefined): Promise<string> {
  await mkdir(dir, { recursive: true })
  const inner = `${await realpath(dir)}/${name}`
  await mkdir(inner, { recursive: true, mode: 0o700 })
  if (!account) return inner
  await chmod(dir, (await stat(dir)).mode | 0o011)
  await chown(inner, account.uid, account.gid)
  const blocked = await blockedFolder(dirname(inner))
  if (blocked)
    throw new Error(
      `as root the server runs as ${account.name}, which may not pass through ${blocked}: choose another folder, or chmod o+x ${blocked}`,
    )
  return inner
}

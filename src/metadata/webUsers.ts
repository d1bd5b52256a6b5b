import { createHash, randomBytes, scrypt as scryptCallback, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Database } from './database.ts'

/** `viewer` looks; `operator` acts, too. */
export type Role = 'viewer' | 'operator'

export interface WebUser {
  name: string
  role: Role
  /** Whether it logs in here; others come through a proxy that knows them. */
  hasPassword: boolean
  created_at: string
}

const scrypt = promisify(scryptCallback) as (
  password: string,
  salt: Buffer,
  length: number,
  options: { N: number; r: number; p: number; maxmem: number },
) => Promise<Buffer>

/** https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt */
const COST = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 2 ** 20 }
const KEY_BYTES = 32
/** Milliseconds that a log-in lasts. */
const SESSION_MS = 12 * 3600_000
/** What a password is compared with where there is no such user: the answer takes as long. */
const NOBODY = `${'00'.repeat(16)}:${'00'.repeat(KEY_BYTES)}`

/** People of the dashboard and their log-ins. */
export class WebUsers {
  private readonly database: Database
  private readonly clock: Clock

  constructor(database: Database, clock: Clock) {
    this.database = database
    this.clock = clock
  }

  async list(): Promise<WebUser[]> {
    const found = await this.database.all<Omit<WebUser, 'hasPassword'> & { password: string | null }>(
      'SELECT name, role, password, created_at FROM web_users ORDER BY name',
    )
    return found.map(({ password, ...user }) => ({ ...user, hasPassword: password !== null }))
  }

  async roleOf(name: string): Promise<Role | undefined> {
    const [found] = await this.database.all<{ role: Role }>('SELECT role FROM web_users WHERE name = :name', {
      name,
    })
    return found?.role
  }

  /** Adds a user, or gives one another role and password; its log-ins end. */
  async set(name: string, role: Role, password: string | undefined): Promise<void> {
    const stored = password === undefined ? null : await hashed(password)
    await this.database.transaction(async queries => {
      await queries.run(
        `INSERT INTO web_users (name, role, password, created_at) VALUES (:name, :role, :stored, :now)
         ON CONFLICT (name) DO UPDATE SET role = excluded.role, password = excluded.password`,
        { name, role, stored, now: this.clock.now().toISOString() },
      )
      await queries.run('DELETE FROM web_sessions WHERE name = :name', { name })
    })
  }

  /** False where there is none of that name. */
  remove(name: string): Promise<boolean> {
    return this.database.transaction(async queries => {
      await queries.run('DELETE FROM web_sessions WHERE name = :name', { name })
      return (await queries.run('DELETE FROM web_users WHERE name = :name', { name })) === 1
    })
  }

  /** The secret of a new log-in; undefined where name or password is wrong. */
  async logIn(name: string, password: string): Promise<string | undefined> {
    const [found] = await this.database.all<{ password: string | null }>(
      'SELECT password FROM web_users WHERE name = :name',
      { name },
    )
    const isRight = await matches(password, found?.password ?? NOBODY)
    return isRight && found?.password ? this.begin(name) : undefined
  }

  /** The secret of a new log-in of somebody whom an OpenID provider knows. */
  letIn(name: string, role: Role, issuer: string): Promise<string> {
    return this.begin(name, { role, issuer })
  }

  private async begin(name: string, by?: { role: Role; issuer: string }): Promise<string> {
    const secret = randomBytes(32).toString('base64url')
    const now = this.clock.now()
    await this.database.run('DELETE FROM web_sessions WHERE expires_at <= :now', { now: now.toISOString() })
    await this.database.run(
      'INSERT INTO web_sessions (id, name, expires_at, role, issuer) VALUES (:id, :name, :until, :role, :issuer)',
      {
        id: digest(secret),
        name,
        until: new Date(now.getTime() + SESSION_MS).toISOString(),
        role: by?.role ?? null,
        issuer: by?.issuer ?? null,
      },
    )
    return secret
  }

  async logOut(secret: string): Promise<void> {
    await this.database.run('DELETE FROM web_sessions WHERE id = :id', { id: digest(secret) })
  }

  /** Whose log-in a secret is of, while it lasts; `issuer`: the OpenID provider whose log-ins count. */
  async whose(secret: string, issuer: string | undefined): Promise<{ name: string; role: Role } | undefined> {
    const [found] = await this.database.all<{ name: string; role: Role }>(
      `SELECT s.name, coalesce(s.role, u.role) AS role FROM web_sessions s
       LEFT JOIN web_users u ON u.name = s.name AND s.issuer IS NULL
       WHERE s.id = :id AND s.expires_at > :now AND (u.name IS NOT NULL OR s.issuer = :issuer)`,
      { id: digest(secret), now: this.clock.now().toISOString(), issuer: issuer ?? null },
    )
    return found
  }
}

/** The store holds no secret that lets anybody in. */
const digest = (secret: string) => createHash('sha256').update(secret).digest('hex')

async function hashed(password: string): Promise<string> {
  const salt = randomBytes(16)
  const key = await scrypt(password.normalize('NFKC'), salt, KEY_BYTES, COST)
  return `${salt.toString('hex')}:${key.toString('hex')}`
}

async function matches(password: string, stored: string): Promise<boolean> {
  const [salt, key] = stored.split(':').map(hex => Buffer.from(hex, 'hex')) as [Buffer, Buffer]
  return timingSafeEqual(await scrypt(password.normalize('NFKC'), salt, KEY_BYTES, COST), key)
}

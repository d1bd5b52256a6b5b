import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Metadata } from '../../src/metadata/metadata.ts'
import { openMetadata } from '../../src/metadata/open.ts'
import type { Hooks } from '../servers.ts'

const ROOT = join(import.meta.dirname, '../..')

/** A service as people start it, with its dashboard. */
export interface Site {
  url: string
  home: string
  metadata: Metadata
  child: ChildProcess
  /** Asks without a browser. */
  ask(path: string, init?: RequestInit): Promise<{ status: number; text: string; headers: Headers }>
}

export interface SiteOptions {
  /** A folder of jobs. */
  jobs: string
  home?: string
  args?: string[]
  env?: Record<string, string>
  /** In which requests are sent; default: to this machine. */
  port?: number
}

/** An empty folder that goes with the test. */
export function scratch(hooks: Hooks, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `nightfreight-${name}-`))
  hooks.after(async () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function openSite(hooks: Hooks, options: SiteOptions): Promise<Site> {
  const home = options.home ?? scratch(hooks, 'site')
  mkdirSync(home, { recursive: true })
  const metadata = await openMetadata(home, { now: () => new Date() }, undefined)
  const args = ['serve', options.jobs, '--port', String(options.port ?? 0), ...(options.args ?? [])]
  const child = spawn(process.execPath, ['src/main.ts', ...args], {
    cwd: ROOT,
    env: { ...process.env, NIGHTFREIGHT_HOME: home, METADATA_URL: '', ...options.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  hooks.after(async () => {
    child.kill('SIGTERM')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    await metadata.close()
  })
  const [line] = (await once(child.stderr!.setEncoding('utf8'), 'data')) as [string]
  const port = /http:\/\/[^/]*:(\d+)\//.exec(line)?.[1]
  assert.ok(port, line)
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    home,
    metadata,
    child,
    async ask(path, init) {
      const answer = await fetch(url + path, { redirect: 'manual', ...init })
      return { status: answer.status, text: await answer.text(), headers: answer.headers }
    },
  }
}

/** Waits until something is so. */
export async function until<T>(what: string, look: () => Promise<T | undefined>, seconds = 90): Promise<T> {
  for (let n = 0; n < seconds * 10; n++) {
    const found = await look()
    if (found !== undefined) return found
    await delay(100)
  }
  assert.fail(`${what}: not within ${seconds} s`)
}

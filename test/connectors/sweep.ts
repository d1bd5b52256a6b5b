import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { markColumn } from '../../engine/contracts/semantics.ts'
import type { Target } from '../../engine/contracts/target.ts'
import type { Changes } from '../../engine/diff/changeSet.ts'
import { diff } from '../../engine/diff/diff.ts'
import { EngineError } from '../../engine/errors.ts'
import { load as loadChanges } from '../../engine/load/load.ts'
import { FailureScope } from '../../engine/runtime/failureScope.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { lookAt } from '../../engine/verify/standing.ts'
import { type Judge, judgingProxy } from '../proxy.ts'
import {
  type Around,
  contextOf,
  dataSet,
  KINDS,
  type Kind,
  loadsOf,
  mysqlKind,
  postgresKind,
  type Query,
  syncPointsOf,
  taskStoreOf,
} from './everyMode.ts'
import { type Row, textOf } from './model.ts'
import { type Server, serverOf } from './sweepServers.ts'
import type { WireParser } from './wire.ts'

const row = (a: number, b: string, p: string | null, x: number | null, t: number): Row => ({
  a,
  b,
  p,
  x,
  t,
  d: x === null ? null : `${x}.25`,
  s: b,
  iv: null,
})
const FIRST = [
  row(1, 'a', 'p', 1, 2),
  row(1, 'b', 'p', null, 2),
  row(2, 'a', 'q', 2, 2),
  row(3, '', null, 3, 2),
  row(4, 'gone', 'q', 4, 2),
]
/** Changed, older than it was, moved to another partition, as it was; one has gone, one come. */
const SECOND = [
  row(1, 'a', 'p', 9, 4),
  row(1, 'b', 'p', 7, 1),
  row(2, 'a', 'r', null, 3),
  row(3, '', null, 3, 2),
  row(5, 'new', 'q', 5, 3),
]
const RUN_AT = new Date('2026-01-03T00:00:00Z')

/** A table's first load; one that knows what changed; one that must find out, since the last state is lost. */
const NIGHTS = ['first', 'next', 'whole'] as const

/** One load of one table, and what is staged for it. */
export interface Case {
  night: (typeof NIGHTS)[number]
  changes: Changes
}

export const nameOf = ({ night, changes }: Case) => `${changes.load.table}, ${night} load`

/**
 * What is done to a load at one of its steps. To fail: the connection is lost, where there is one, else the step throws.
 * `end the session` and `refuse` only where it commits, and the latter only in Postgres.
 */
export type Blow =
  | 'fail before'
  | 'fail after'
  | 'kill before'
  | 'kill after'
  | 'end the session'
  | 'refuse at COMMIT'

/** The step after the target's commit, of every load: the task's output is committed to the task store. */
export const LEDGER = 'store'

export const isCommit = (step: string) => /^(run )?COMMIT$/.test(step) || step.includes('/commits/')

/** What a load leaves, of all that counts. */
type State = Record<string, unknown>

/** A kind of target whose loads are disturbed, in a place that starts empty; `query`, where it is a server. */
export class Sweep {
  readonly cases: Case[] = []
  private readonly kind: Kind
  private readonly place: string
  private readonly folder: string
  private readonly server: Server | undefined

  constructor(kind: Kind, place: string, folder: string, query?: Query) {
    this.kind = kind
    this.place = place
    this.folder = folder
    this.server = query && serverOf(kind, query)
  }

  /** Loads the first night, and works out what the nights stage. */
  async prepare(): Promise<void> {
    const duck = await Duck.open({ threads: 1 })
    const root = join(this.folder, 'staging')
    const target = this.kind.open(this.place)
    const loads = loadsOf(this.kind)
    const compare = async (run: string, rows: Row[], last?: string) => {
      const context = contextOf(
        { root, run, runAt: RUN_AT, tasks: taskStoreOf(new Map()), target, duck },
        loads,
      )
      const failures = new FailureScope(context)
      const table = await dataSet(duck, root, run, rows)
      const lastRun = new Map(last === undefined ? [] : [['w', last]])
      const changes = await diff(context, [table], lastRun, lookAt({ reads: [], loads }), failures)
      failures.check()
      // Of the lost one what is staged is gone, and no more.
      return changes.map(each => ({ ...each, base: last === undefined ? null : 'first' }))
    }
    try {
      const nights = {
        first: await compare('first', FIRST),
        next: await compare('next', SECOND, 'first'),
        whole: await compare('whole', SECOND, 'lost'),
      }
      for (const night of NIGHTS) this.cases.push(...nights[night].map(changes => ({ night, changes })))
      await loadOnce(target, this.staging, nights.first, 'first')
    } finally {
      await target.close()
      duck.close()
    }
    // The lines that are compared are made with it.
    if (this.kind === mysqlKind) await this.server!.query("SET sql_mode = 'PIPES_AS_CONCAT'")
    if (this.server)
      for (const table of [...this.server.state, ...loads.map(({ table }) => table)])
        await this.server.query(copied(table, savedName(table), this.server.like))
    else cpSync(this.place, this.saved, { recursive: true })
  }

  /** The steps of a load that nothing disturbs, and what it leaves. */
  async undisturbed(one: Case): Promise<{ steps: string[]; state: State }> {
    await this.reset(one)
    const steps: string[] = []
    await this.attempt(one, async step => {
      steps.push(step)
      return 'pass'
    })
    return { steps: [...steps, LEDGER], state: await this.state(one) }
  }

  /** What can be done to a load at its nth step. */
  blows({ night }: Case, steps: string[], nth: number): Blow[] {
    if (steps[nth] === LEDGER) return ['kill before']
    if (READS.test(steps[nth]!)) return ['fail before']
    const blows: Blow[] = ['fail before', 'fail after', 'kill before', 'kill after']
    if (isCommit(steps[nth]!) && this.server) blows.push('end the session')
    if (isCommit(steps[nth]!) && this.kind === postgresKind && night !== 'first')
      blows.push('refuse at COMMIT')
    return blows
  }

  /** Disturbs a load at its nth step, then loads again, and compares with what an undisturbed one leaves. */
  async trial(one: Case, steps: string[], nth: number, blow: Blow, expected: State): Promise<void> {
    await this.reset(one)
    if (blow === 'refuse at COMMIT') await this.refused(one)
    else if (blow.startsWith('kill')) await this.killed(one, steps, nth, blow)
    else await this.failed(one, steps, nth, blow)
    await this.attempt(one)
    assert.deepEqual(await this.state(one), expected)
  }

  private get saved(): string {
    return join(this.folder, 'saved')
  }

  private get staging(): string {
    return join(this.folder, 'staging')
  }

  private async reset({ night, changes: { load } }: Case): Promise<void> {
    if (!this.server) {
      rmSync(this.place, { recursive: true, force: true })
      rmSync(`${this.place}.wal`, { force: true })
      if (night !== 'first') cpSync(this.saved, this.place, { recursive: true })
      return
    }
    const { query, state, like } = this.server
    for (const table of [load.table, ...state]) {
      await query(`DROP TABLE IF EXISTS ${table}`)
      if (night !== 'first') await query(copied(savedName(table), table, like))
    }
  }

  /** What the table holds, and what is known of the load; and what should not be there. */
  private async state({ changes: { load } }: Case): Promise<State> {
    const { place, kind, server } = this
    const target = kind.open(place)
    const { signal } = new AbortController()
    const known = {
      key: (await target.describe(load.table, signal))?.key,
      committed: await target.committed('j/again/w', signal),
      points: await target.syncPoints('j', signal),
    }
    await target.close()
    const lines = await kind.read(
      place,
      `SELECT ${textOf(load, markColumn(load) ? [`${markColumn(load)} IS NULL`] : [])} AS line FROM ${load.table}`,
      server?.query,
    )
    const left = server
      ? await server.query(server.staged)
      : existsSync(join(place, '_nightfreight'))
        ? globSync('_nightfreight/work/*', { cwd: place })
        : []
    return { ...known, lines: lines.map(({ line }) => String(line)).sort(), left: left.length }
  }

  /** Loads in this process; `at` is asked at each step. */
  private async attempt(
    { changes }: Case,
    at?: (step: string, nth: number) => Promise<'pass' | 'cut' | 'cut after the answer'>,
  ): Promise<void> {
    let nth = 0
    if (this.server) {
      const proxy = at && (await this.proxy(step => at(step, nth++)))
      const target = this.kind.open(proxy?.url ?? this.place)
      try {
        await loadOnce(target, this.staging, [changes], 'again')
      } finally {
        await target.close()
        await proxy?.close()
      }
      return
    }
    const around: Around = async (step, act) => {
      const verdict = await at!(label(step), nth++)
      if (verdict === 'cut') throw new Struck()
      const result = await act()
      if (verdict !== 'pass') throw new Struck()
      return result
    }
    const target = this.kind.open(this.place, at && around)
    try {
      await loadOnce(target, this.staging, [changes], 'again')
    } finally {
      await target.close()
    }
  }

  private async failed(one: Case, steps: string[], nth: number, blow: Blow): Promise<void> {
    try {
      await this.attempt(one, async (step, now) => {
        if (now !== nth) return 'pass'
        assert.equal(step, steps[nth])
        if (blow === 'fail before') return 'cut'
        if (blow === 'fail after') return 'cut after the answer'
        await this.server!.endSessions()
        return 'pass'
      })
    } catch (error) {
      assert.ok(error instanceof EngineError && error.retryable, String((error as Error).stack))
    }
  }

  /** The server takes every statement, and not the COMMIT: a constraint that is looked at no earlier. */
  private async refused(one: Case): Promise<void> {
    const { query } = this.server!
    const { table } = one.changes.load
    const before = await this.state(one)
    await query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'refused'; END $$;
      CREATE CONSTRAINT TRIGGER refused AFTER INSERT OR UPDATE OR DELETE ON ${table}
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
    try {
      await assert.rejects(this.attempt(one), { code: 'CONSTRAINT_VIOLATED', message: /refused/ })
      assert.deepEqual(await this.state(one), before)
    } finally {
      await query('DROP FUNCTION refuse CASCADE')
    }
  }

  /** A process of its own loads, and is killed. */
  private async killed({ changes }: Case, steps: string[], nth: number, blow: Blow): Promise<void> {
    const after = blow === 'kill after'
    let child: ChildProcess | undefined
    let now = 0
    const proxy =
      this.server &&
      (await this.proxy(async () => {
        if (now++ !== nth) return 'pass'
        child!.kill('SIGKILL')
        return after ? 'pass' : 'cut'
      }))
    const input: ChildInput = {
      kind: this.kind.name,
      place: proxy?.url ?? this.place,
      staging: this.staging,
      changes,
      ...(steps[nth] === LEDGER ? { step: -1 } : !proxy && { step: nth }),
      after,
    }
    const file = join(this.folder, 'child.json')
    writeFileSync(file, JSON.stringify(input))
    child = spawn(process.execPath, [import.meta.filename, file], { stdio: 'inherit' })
    const [code, signal] = await once(child, 'exit')
    await proxy?.close()
    assert.equal(signal, 'SIGKILL', `ended with ${code}`)
  }

  private proxy(at: (step: string) => ReturnType<Judge>) {
    const parsers = new Map<number, WireParser>()
    return judgingProxy(this.place, async (bytes, connection) => {
      const parser = parsers.get(connection) ?? this.server!.statements()
      parsers.set(connection, parser)
      for (const statement of parser(bytes)) {
        const verdict = await at(label(statement))
        if (verdict !== 'pass') return verdict
      }
      return 'pass'
    })
  }
}

class Struck extends EngineError {
  constructor() {
    super('CONNECTION_LOST', 'struck')
  }
}

/** What changes nothing: a process that is killed there is one that was killed by the last change. */
const READS = /^((rows|run) )?(SELECT|SHOW|SET|BEGIN|START|ANALYZE)\b/

/** A statement without what differs between two runs. */
const label = (statement: string) =>
  statement
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/stg_[0-9a-f]{20}/g, 'stg')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'id')
    .replaceAll(/\d{4}(-\d\d){2} \d\d(:\d\d){2}/g, 'time')
    .slice(0, 100)

const copied = (from: string, to: string, like: (table: string) => string) =>
  `CREATE TABLE ${to} ${like(from)}; INSERT INTO ${to} SELECT * FROM ${from}`

const savedName = (table: string) => `saved_${table.replace('.', '_')}`

/** Stages and commits change sets, as a run's task does. */
async function loadOnce(
  target: Target,
  root: string,
  changes: Changes[],
  run: string,
  beforeLedger?: (task: string) => void,
): Promise<void> {
  const store = taskStoreOf(new Map(), beforeLedger)
  const loads = changes.map(({ load }) => load)
  const duck = await Duck.open({ threads: 1 })
  try {
    const context = contextOf({ root, run, runAt: RUN_AT, tasks: store, target, duck }, loads)
    const failures = new FailureScope(context)
    await loadChanges(context, changes, syncPointsOf(run), failures, [], new Map())
    failures.check()
  } finally {
    duck.close()
  }
}

/** What a process that is to be killed is given; `step`: where it kills itself, -1 before the task store's commit. */
interface ChildInput {
  kind: string
  place: string
  staging: string
  changes: Changes
  step?: number
  after: boolean
}

if (import.meta.main) {
  const input = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as ChildInput
  const kind = KINDS.find(({ name }) => name === input.kind)!
  const die = () => process.kill(process.pid, 'SIGKILL')
  let now = 0
  const around: Around = async (_, act) => {
    const here = now++ === input.step
    if (here && !input.after) die()
    const result = await act()
    if (here) die()
    return result
  }
  const target = kind.open(input.place, around)
  await loadOnce(target, input.staging, [input.changes], 'again', () => {
    if (input.step === -1) die()
  })
  await target.close()
}

import { stripVTControlCharacters } from 'node:util'
import { counted } from '../../engine/plural.ts'
import { legible } from '../util/printable.ts'
import { describeDone, describeRunning, formatSpan, Meter } from './meter.ts'

/** Shows people, or a program, how far a run is. */
export interface Progress {
  /** A task began; `total` is the estimate of its rows. */
  task(name: string, total?: number): void
  /** `rows` more were done. */
  advance(name: string, rows: number): void
  done(name: string, note?: string): void
  note(text: string): void
  /** Stops the display; tasks still running leave no line behind. Nothing is written afterwards. */
  close(): void
}

export interface ProgressOptions {
  stream: { write(text: string): unknown; columns?: number; rows?: number }
  /** One JSON event a line. */
  json: boolean
  isTTY: boolean
  /** Milliseconds; for tests. */
  now?: () => number
}

/** What a way of showing progress does at each event; `running` lists what has not ended. */
interface Display {
  start(name: string, meter: Meter): void
  end(name: string, meter: Meter, note: string | undefined): void
  note(text: string): void
  tick(): void
  close(): void
  /** Milliseconds between ticks. */
  every: number
}

/** A live block on a terminal, few plain lines in a pipe, NDJSON events with `json`. */
export function createProgress(options: ProgressOptions): Progress {
  const now = options.now ?? Date.now
  const running = new Map<string, Meter>()
  const show = options.json
    ? events(options, running, now)
    : options.isTTY
      ? live(options, running, now)
      : plain(options, running, now)
  let closed = false
  // Never keeps the process alive by itself.
  const timer = setInterval(() => show.tick(), show.every).unref()
  return {
    task(name, total) {
      if (closed) return
      const meter = new Meter(now(), total)
      running.set(name, meter)
      show.start(name, meter)
    },
    advance: (name, rows) => running.get(name)?.add(rows, now()),
    done(name, note) {
      const meter = running.get(name)
      if (closed || !meter) return
      running.delete(name)
      show.end(name, meter, note && legible(note))
    },
    note(text) {
      if (!closed) show.note(legible(text))
    },
    close() {
      if (closed) return
      closed = true
      clearInterval(timer)
      running.clear()
      show.close()
    },
  }
}

const ended = (name: string, meter: Meter, note: string | undefined, at: number) =>
  `${name}: done, ${describeDone(meter, at)}${note ? `, ${note}` : ''}`

/** Milliseconds between lines in a pipe on how far things are; a task that ends sooner has no line of its end. */
const PLAIN_MS = 10_000
/** Milliseconds after which a pipe names a task that is running: of a night in which nothing happens, none. */
const NAMED_MS = 500
/** Running tasks that a line names. */
const NAMED = 3

/** In a pipe: what takes a while has lines, a quick run has none. */
function plain({ stream }: ProgressOptions, running: Map<string, Meter>, now: () => number): Display {
  const begun = now()
  let done = 0
  let told = begun
  const named = new Set<string>()
  const line = (text: string) => stream.write(`${text}\n`)
  return {
    every: NAMED_MS,
    start() {},
    end(name, meter, note) {
      done++
      named.delete(name)
      if (now() - meter.started >= PLAIN_MS) line(ended(name, meter, note, now()))
    },
    note: line,
    tick() {
      for (const [name, { started }] of running)
        if (!named.has(name) && now() - started >= NAMED_MS) {
          named.add(name)
          line(`${name}: started`)
        }
      if (now() - told < PLAIN_MS) return
      told = now()
      if (running.size === 0) return
      const first = [...running].slice(0, NAMED).map(([name, meter]) => describeRunning(name, meter))
      const more = running.size > NAMED ? [`${running.size - NAMED} more`] : []
      line(`${formatSpan(now() - begun)}, ${tasks(done)} done; ${[...first, ...more].join('; ')}`)
    },
    close() {},
  }
}

const tasks = (count: number) => counted(count, 'task')

/** On a terminal: one block that is drawn anew, and gone at the end. */
function live({ stream }: ProgressOptions, running: Map<string, Meter>, now: () => number): Display {
  const begun = now()
  let done = 0
  let drawn = 0
  const erase = () => (drawn > 0 ? `\x1b[${drawn}A\x1b[0J` : '')
  function draw(above = '', last = false): void {
    // A line that wrapped would make the count of lines to erase wrong. A terminal that does not know its size says 0.
    const width = (stream.columns || 80) - 1
    const most = Math.max(1, (stream.rows || 24) - 3)
    const named = [...running].slice(0, most).map(([name, meter]) => `  ${describeRunning(name, meter)}`)
    if (running.size > most) named.push(`  and ${running.size - most} more`)
    const head = `${tasks(done)} done, ${running.size} running, ${formatSpan(now() - begun)}`
    const lines = last ? [] : [head, ...named].map(line => stripVTControlCharacters(line).slice(0, width))
    const text = `${erase()}${above}${lines.map(line => `${line}\n`).join('')}`
    drawn = lines.length
    if (text) stream.write(text)
  }
  return {
    every: 100,
    start: () => draw(),
    end() {
      done++
      draw()
    },
    note: text => draw(`${text}\n`),
    tick: () => draw(),
    close: () => draw('', true),
  }
}

function events({ stream }: ProgressOptions, running: Map<string, Meter>, now: () => number): Display {
  const emit = (event: string, facts: object) =>
    stream.write(`${JSON.stringify({ event, time: new Date(now()).toISOString(), ...facts })}\n`)
  return {
    every: 1000,
    start: (task, { total }) => emit('started', { task, total }),
    end: (task, meter, note) => emit('done', { task, rows: meter.rows, ms: now() - meter.started, note }),
    note: text => emit('note', { text }),
    tick() {
      for (const [task, { rows, total, rate, left }] of running)
        emit('progress', {
          task,
          rows,
          total,
          rate: rate && Math.round(rate),
          left: left && Math.round(left),
        })
    },
    close() {},
  }
}

import { stripVTControlCharacters } from 'node:util'
import { describeDone, describeRunning, Meter } from './meter.ts'

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
  stream: { write(text: string): unknown; columns?: number }
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

/** Live lines on a terminal, plain lines in a pipe, NDJSON events with `json`. */
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
      show.end(name, meter, note)
    },
    note(text) {
      if (!closed) show.note(text)
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

function plain({ stream }: ProgressOptions, running: Map<string, Meter>, now: () => number): Display {
  const line = (text: string) => stream.write(`${text}\n`)
  return {
    every: 10_000,
    start: name => line(`${name}: started`),
    end: (name, meter, note) => line(ended(name, meter, note, now())),
    note: line,
    tick() {
      for (const [name, meter] of running) line(`${name}: ${describeRunning(meter)}`)
    },
    close() {},
  }
}

function live({ stream }: ProgressOptions, running: Map<string, Meter>, now: () => number): Display {
  let drawn = 0
  const erase = () => (drawn > 0 ? `\x1b[${drawn}A\x1b[0J` : '')
  function draw(above = ''): void {
    // A line that wrapped would make the count of lines to erase wrong.
    const width = (stream.columns ?? 80) - 1
    const lines = [...running].map(([name, meter]) =>
      stripVTControlCharacters(`  ${name}: ${describeRunning(meter)}`).slice(0, width),
    )
    const text = `${erase()}${above}${lines.map(line => `${line}\n`).join('')}`
    drawn = lines.length
    if (text) stream.write(text)
  }
  return {
    every: 100,
    start: () => draw(),
    end: (name, meter, note) => draw(`${ended(name, meter, note, now())}\n`),
    note: text => draw(`${text}\n`),
    tick() {
      if (running.size > 0) draw()
    },
    close: () => draw(),
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

/** Loaded before a command: at its end, writes what its main thread had of its CPU time, in seconds, to the file THREADS_FILE. */
import { writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { cpuOf } from '../measure.ts'

// Workers are started with the same arguments.
if (isMainThread)
  process.on('exit', () => {
    const { user, system } = process.cpuUsage()
    const threads = { main: cpuOf(`self/task/${process.pid}`, false), all: (user + system) / 1e6 }
    writeFileSync(process.env.THREADS_FILE!, JSON.stringify(threads))
  })

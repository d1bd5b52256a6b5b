import type { MessagePort } from 'node:worker_threads'
import type { ChangeModule, ChangeRequest, ChangesRead } from '../contracts/changes.ts'
import type { LaneDescriptor } from '../contracts/source.ts'
import type { Part } from '../contracts/staging.ts'
import { type ErrorData, errorData } from '../errors.ts'
import { PartSink } from '../staging/partSink.ts'
import { CANCEL } from './laneWorker.ts'

export interface ChangeInput {
  port: MessagePort
  descriptor: LaneDescriptor
  root: string
  request: ChangeRequest
  /** Of each read: its parts are named after it, below `root`. */
  stems: string[]
}

/** What is told while a log is read, and what came of it. */
export type ChangeMessage =
  | { kind: 'rows'; read: number; rows: number }
  | { kind: 'note'; text: string }
  | { kind: 'read'; result: ChangesRead; parts: Part[][] }
  | { kind: 'failed'; error: ErrorData }

/** Reads a log once, in a thread of its own. */
export default async function changeWorker(input: ChangeInput): Promise<void> {
  const { port, descriptor, root, request, stems } = input
  const say = (message: ChangeMessage) => port.postMessage(message)
  const cancel = new AbortController()
  const { signal } = cancel
  port.on('message', (message: unknown) => {
    if (message === CANCEL) cancel.abort()
  })
  const sinks = stems.map(
    (stem, read) =>
      new PartSink(root, stem, {
        rows: rows => say({ kind: 'rows', read, rows }),
        note: text => say({ kind: 'note', text }),
        signal,
      }),
  )
  try {
    const module = (await import(descriptor.module)) as ChangeModule
    const result = await module.readChanges(descriptor.payload, request, sinks, signal)
    say({ kind: 'read', result, parts: sinks.map(({ parts }) => parts) })
  } catch (error) {
    for (const sink of sinks) sink.discard()
    say({ kind: 'failed', error: errorData(error) })
  }
  port.close()
}

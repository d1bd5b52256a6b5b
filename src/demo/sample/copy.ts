import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type pg from 'pg'

// What node-postgres hands to a query object; its published types leave this half of the interface out.
interface Wire {
  query(text: string): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
  sendCopyFail(message: string): void
  stream: Duplex
}

/**
 * Sends `COPY … FROM STDIN` and the chunks through the client, no faster than the server reads. Resolves with the
 * number of rows stored. An error of the chunks or the server rejects; nothing is stored then.
 *
 * The messages: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY
 */
export function copyFrom(client: pg.Client, sql: string, chunks: Iterable<Buffer>): Promise<number> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined
    let rows = 0

    async function feed(wire: Wire) {
      try {
        for (const chunk of chunks) {
          if (failure) return
          wire.sendCopyFromChunk(chunk)
          if (wire.stream.writableNeedDrain) await once(wire.stream, 'drain')
        }
        wire.endCopyFrom()
      } catch (error) {
        failure ??= error as Error
        wire.sendCopyFail('the sender failed')
      }
    }

    client.query({
      submit: (wire: unknown) => (wire as Wire).query(sql),
      handleCopyInResponse: (wire: Wire) => void feed(wire),
      handleCommandComplete(message: { text: string }) {
        rows = Number(message.text.split(' ').at(-1))
      },
      handleError(error: Error) {
        failure ??= error
        reject(failure)
      },
      handleReadyForQuery: () => (failure ? reject(failure) : resolve(rows)),
    } as pg.Submittable)
  })
}

import type { Lane } from '../../../engine/contracts/source.ts'
import { abortable } from '../../../engine/pool/abortable.ts'
import type { Access } from './access.ts'
import { Api } from './api.ts'
import { PaginatedReader } from './paginatedReader.ts'

/** One lane reads all of an API's extracts, so that one budget and one access token serve them. */
export async function openLane(payload: unknown): Promise<Lane> {
  const access = payload as Access
  const api = new Api(access)
  let reading: PaginatedReader | undefined
  return {
    read: (read, range, limit, sink, signal) => {
      if (reading?.extract !== read.extract) {
        reading?.close()
        reading = new PaginatedReader(api, access, read)
      }
      const own = reading
      return abortable(
        signal,
        read.where,
        () => own.chunk(range, limit, sink),
        () => own.close(),
      )
    },
    close: async () => {
      reading?.close()
      await api.close()
    },
  }
}

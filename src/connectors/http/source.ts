import type { ExtractSpec, Snapshot, Source, TableSchema } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { declaredTable } from '../declare/declared.ts'
import type { Access } from './access.ts'
import { Api } from './api.ts'
import { typesOf } from './columns.ts'
import type { HttpOptions } from './options.ts'
import { firstPage } from './pageCursor.ts'
import { rangeFrom } from './paginatedReader.ts'

/** A JSON API as a source. */
export class HttpSource implements Source {
  private readonly access: Access
  private readonly health: string

  constructor(access: Access, health: string) {
    this.access = access
    this.health = health
  }

  async probe(signal: AbortSignal): Promise<void> {
    const api = new Api(this.access)
    try {
      await api.get(api.url(this.health, {}), signal)
    } finally {
      await api.close()
    }
  }

  async describe(extract: ExtractSpec): Promise<TableSchema> {
    const where = `${extract.from}.${extract.name}`
    const table = declaredTable(where, typesOf((extract.options as HttpOptions).schema))
    const binary = table.columns.find(({ type }) => type.kind === 'binary')
    if (binary)
      throw new EngineError(
        'TYPE_UNSUPPORTED',
        `${where}: column ${binary.name}: JSON holds no ${binary.native}`,
        {
          hint: 'Take VARCHAR, and decode the text in a model.',
        },
      )
    return table
  }

  async open(): Promise<Snapshot> {
    return {
      lanes: 1,
      note: 'an API has no snapshot: pages are read at one time and another',
      sequential: true,
      lane: { module: moduleBeside(import.meta.url, 'lane'), payload: this.access },
      // Pages are asked for again one by one; what fails then would fail a new lane too.
      rejoinable: false,
      joined: async () => {},
      ranges: async ({ options }) => [
        rangeFrom(this.access, options as HttpOptions, firstPage(options as HttpOptions)),
      ],
      split: async () => undefined,
      check: async () => {},
      close: async () => {},
    }
  }

  async close(): Promise<void> {}
}

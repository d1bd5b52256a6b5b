import library from 'libphonenumber-js/package.json' with { type: 'json' }
import type { Enrichment } from '../../engine/contracts/enrichment.ts'
import { moduleBeside } from '../../engine/pool/entry.ts'
import type { Column } from '../../engine/types/logical.ts'

const text = (name: string): Column => ({ name, type: { kind: 'text' }, nullable: true, native: 'VARCHAR' })
const flag = (name: string): Column => ({ name, type: { kind: 'bool' }, nullable: true, native: 'BOOLEAN' })

/** What job.yaml's `enrich` can make of values, by its `kind`. */
export const enrichments = {
  phone: {
    module: moduleBeside(import.meta.url, 'phone'),
    takes: [text('value'), text('country')],
    gives: [text('e164'), text('region'), text('kind'), flag('valid')],
    // The library's numbering plans change with it; the 2 is ours.
    version: `libphonenumber-js ${library.version}, 2`,
  },
} satisfies Record<string, Enrichment>

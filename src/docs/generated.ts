import { connectors } from '../connectors/index.ts'
import { jobJsonSchema } from './jobSchema.ts'
import { typesPage } from './types.ts'

/** The files below `docs/` that are made from the code: name → text. */
export async function generatedDocs(): Promise<Record<string, string>> {
  return { 'types.md': await typesPage(connectors), 'job.schema.json': jobJsonSchema(connectors) }
}

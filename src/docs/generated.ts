import { commandLine } from '../cli/program.ts'
import { connectors } from '../connectors/index.ts'
import { commandsPage, errorsPage } from './commands.ts'
import { explained, jobPage } from './jobKeys.ts'
import { jobJsonSchema } from './jobSchema.ts'
import { typesPage } from './types.ts'

/** The files below `docs/` that are made from the code: name → text. */
export async function generatedDocs(): Promise<Record<string, string>> {
  const schema = jobJsonSchema(connectors)
  return {
    'types.md': await typesPage(connectors),
    'job.schema.json': `${JSON.stringify(explained(schema), null, 2)}\n`,
    'reference/job.md': jobPage(schema),
    'reference/commands.md': commandsPage(commandLine()),
    'reference/errors.md': errorsPage(),
  }
}

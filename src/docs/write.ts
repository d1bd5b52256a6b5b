/** `npm run docs`: writes the pages of `docs/` that are made from the code. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedDocs } from './generated.ts'

mkdirSync(join(import.meta.dirname, '../../docs/reference'), { recursive: true })
for (const [name, text] of Object.entries(await generatedDocs()))
  writeFileSync(join(import.meta.dirname, '../../docs', name), text)

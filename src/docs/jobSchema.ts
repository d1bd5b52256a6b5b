import { z } from 'zod'
import { commonExtract, jobSchema } from '../config/schema.ts'
import { wildcardKeys } from '../config/wildcards.ts'
import type { Connector } from '../connectors/declare/define.ts'
import type { SchemaNode } from './jobKeys.ts'

/** The JSON Schema of job.yaml, for editors: the job's own keys, and those of every connector. */
export function jobJsonSchema(connectors: readonly Connector[]): SchemaNode {
  const extracts = connectors
    .filter(({ capabilities }) => capabilities.source)
    .flatMap(({ name, extract }) => {
      const one = commonExtract.extend(extract.shape).meta({ title: name })
      if (!Object.hasOwn(extract.shape, 'table')) return [one]
      const { table: _, ...shape } = one.shape
      return [one, z.strictObject({ ...shape, ...wildcardKeys.shape }).meta({ title: `${name}, by globs` })]
    })
  const connections = connectors.map(({ name, config }) => config.meta({ title: name }))
  const whole = jobSchema.extend({
    connections: z.record(z.string(), z.union([z.string(), ...connections])),
    extract: z.record(z.string(), z.union(extracts)).default({}),
  })
  return z.toJSONSchema(whole, {
    io: 'input',
    override({ jsonSchema }) {
      // Any text may be a variable, whose value an editor does not know.
      delete jsonSchema.format
      delete jsonSchema.pattern
    },
  }) as SchemaNode
}

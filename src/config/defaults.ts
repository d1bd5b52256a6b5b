import { isFor } from '../../engine/contracts/semantics.ts'
import { isMapping } from '../util/mapping.ts'
import type { Document } from './document.ts'

/**
 * The job's content with what `defaults:` says put below each extract and load that does not say otherwise. What means nothing in
 * a load's mode is for the others.
 */
export function withDefaults(document: Document): unknown {
  const { value } = document
  if (!isMapping(value) || !isMapping(value.defaults)) return value
  const { defaults } = value
  const filled = (part: 'extract' | 'load') => {
    const [own, entries] = [defaults[part], value[part]]
    if (!isMapping(own) || !isMapping(entries)) return entries
    return Object.fromEntries(
      Object.entries(entries).map(([name, keys]) => {
        if (keys !== null && !isMapping(keys)) return [name, keys]
        const all = { ...own, ...keys }
        for (const key of Object.keys(own)) {
          if (Object.hasOwn(keys ?? {}, key)) continue
          if (part === 'load' && !isUsed(key, all)) delete all[key]
          else document.derive([part, name, key], ['defaults', part, key])
        }
        return [name, all]
      }),
    )
  }
  return {
    ...value,
    ...(value.extract !== undefined && { extract: filled('extract') }),
    ...(value.load !== undefined && { load: filled('load') }),
  }
}

const isUsed = (option: string, { mode = 'merge', deletes }: Record<string, unknown>): boolean =>
  isFor(option, String(mode)) && (option !== 'deleted_at' || deletes === 'soft')

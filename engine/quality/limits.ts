import { counted } from '../plural.ts'
import type { Limit, Limits } from '../sql/model.ts'
import { REJECT } from '../sql/words.ts'
import type { CheckResult } from './rowChecks.ts'

const exceeds = (limit: Limit | undefined, found: number, rows: number): boolean =>
  limit !== undefined && ('rows' in limit ? found > limit.rows : rows > 0 && found / rows > limit.share)

const shown = (limit: Limit) =>
  'rows' in limit ? `${limit.rows}` : `${Math.round(limit.share * 1e6) / 1e4} %`

/** Results of checks as their limits make them: of a table, how many `rows` were judged. */
export function withinLimits(
  results: CheckResult[],
  checks: { name: string; model?: string; limits?: Limits }[],
  tables: { name: string; rows: number }[],
): CheckResult[] {
  return results.map(result => {
    const { name, model, rows, level, samples } = result
    const limits = checks.find(check => check.name === name && check.model === model)?.limits
    const all = tables.findLast(table => table.name === model)?.rows ?? 0
    if (!limits || (level !== 'warn' && level !== REJECT)) return result
    if (exceeds(limits.stopIf, rows, all)) {
      const allowed =
        'rows' in limits.stopIf! && limits.stopIf.rows === 0 ? '' : `, more than ${shown(limits.stopIf!)}`
      const reason = `${rows} of ${counted(all, 'row')} of ${model}${allowed}: ${samples[0]?.reason ?? ''}`
      return {
        ...result,
        level: 'stop',
        samples: [{ reason, record: samples[0]?.record ?? '' }, ...samples.slice(1)],
      }
    }
    return limits.warnIf && level === 'warn' && !exceeds(limits.warnIf, rows, all)
      ? { ...result, level: 'pass' }
      : result
  })
}

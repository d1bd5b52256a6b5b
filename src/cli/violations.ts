import type { ViolationRecord } from '../metadata/violations.ts'
import { figure } from '../sla/targets.ts'

/** Runs with the targets that they did not keep, for JSON. */
export const withViolations = <R extends { run: string }>(
  runs: R[],
  violations: Map<string, ViolationRecord[]>,
) => runs.map(run => ({ ...run, violations: violations.get(run.run) ?? [] }))

/** `  DURATION_EXCEEDED 7 h (target 6 h)`; empty where all were kept. */
export const violationsText = (violations: ViolationRecord[] = []): string =>
  violations
    .map(
      ({ type, expected, actual }) => `  ${type} ${figure(type, actual)} (target ${figure(type, expected)})`,
    )
    .join('')

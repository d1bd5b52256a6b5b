import type { ViolationRecord } from '../metadata/violations.ts'
import { figure } from '../sla/targets.ts'

/** Runs with the promises that they did not keep, for JSON. */
export const withViolations = <R extends { run: string }>(
  runs: R[],
  violations: Map<string, ViolationRecord[]>,
) => runs.map(run => ({ ...run, violations: violations.get(run.run) ?? [] }))

/** `  DURATION_EXCEEDED 7 h (promised 6 h)`; empty where all were kept. */
export const violationsText = (violations: ViolationRecord[] = []): string =>
  violations
    .map(
      ({ type, expected, actual }) =>
        `  ${type} ${figure(type, actual)} (promised ${figure(type, expected)})`,
    )
    .join('')

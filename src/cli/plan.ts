import { Command } from 'commander'
import { EXIT } from '../../engine/errors.ts'
import { ownValue } from '../../engine/ownValue.ts'
import type { RunResult } from '../runs/result.ts'
import { shellWord } from '../util/shell.ts'
import { takenJson } from './accountText.ts'
import { environmentFlag } from './environment.ts'
import { homeFolder } from './home.ts'
import { hasColours, print, printError } from './output.ts'
import { parseTime } from './parse.ts'
import { changesTarget, planMarkdown } from './planMarkdown.ts'
import { planText } from './planText.ts'
import { execute } from './run.ts'
import { stoppable } from './signals.ts'

interface PlanFlags {
  at?: Date
  fresh?: boolean
  json?: boolean
  markdown?: boolean
  exitCode?: boolean
  compare?: string
  verifyIncremental?: boolean
}

export function planCommand(): Command {
  return new Command('plan')
    .description('Show what a run would change in the targets, without loading anything')
    .argument('<job>', "the job's folder")
    .option('--at <time>', "the run's own time, ISO 8601 (default: now)", parseTime)
    .option('--fresh', 'give up an interrupted run of the job')
    .option('--json', 'print events and the plan as JSON lines')
    .option('--markdown', 'print the plan as Markdown, for a comment on a pull request')
    .option(
      '--compare <version>',
      'show which rows the models give that those of a branch, tag, commit or folder do not; reads what the last run read',
    )
    .option('--verify-incremental', 'compute incremental models whole, too, and fail where their rows differ')
    .option('--exit-code', `end with ${EXIT.changes} where the run would change a target, or models differ`)
    .addHelpText(
      'after',
      `
Reads the sources, runs models and checks, and keeps the change sets until staging is cleaned up.

Examples:
  nightfreight plan queries/members
  nightfreight plan queries/members --json > plan.json
  nightfreight plan queries/members --env dev
  nightfreight plan queries/members --markdown --exit-code > plan.md
  nightfreight plan queries/members --compare main --markdown
  nightfreight run queries/members --from-plan 20260201T020000-4f1c9a`,
    )
    .action(
      async (
        folder: string,
        { at, fresh, json = false, markdown, exitCode, compare, ...flags }: PlanFlags,
      ) => {
        if (compare !== undefined) {
          const { compareVersions } = await import('../workbench/versions.ts')
          const { differs, versionsMarkdown, versionsText } = await import('./versionsText.ts')
          const runAt = at ?? new Date()
          const options = { folder, home: homeFolder(), env: process.env, against: compare, runAt }
          const compared = await compareVersions(options)
          const textOf = markdown ? versionsMarkdown : versionsText
          print(json ? JSON.stringify(compared) : textOf(compared))
          if (exitCode && differs(compared)) process.exitCode = EXIT.changes
          return
        }
        const result = await stoppable(stopping =>
          execute({
            ...flags,
            ...stopping,
            folder,
            env: process.env,
            home: homeFolder(),
            json,
            runAt: at,
            fresh,
            goal: 'plan',
          }),
        )
        if (result.error !== undefined) {
          process.exitCode = printError(result.error, json)
          return
        }
        if (markdown) print(planMarkdown(result))
        else
          printPlan(
            result,
            `nightfreight run ${shellWord(folder)}${environmentFlag()} --from-plan ${result.run}`,
            json,
          )
        if (exitCode && changesTarget(result)) process.exitCode = EXIT.changes
      },
    )
}

/** Prints a plan; `next` is the command that loads it. */
export function printPlan(result: RunResult, next: string, json: boolean): void {
  if (json) print(JSON.stringify(planJson(result)))
  else print(planText(result, next, hasColours()), hasColours())
}

/** A plan for a program: one object. */
export function planJson({ run, job, environment, status, seconds, outcome, report, estimates }: RunResult) {
  const { reads, extracted, tables, quality, previews } = outcome
  return {
    event: 'result',
    run,
    job,
    ...(environment !== undefined && { environment }),
    status,
    seconds,
    reads: extracted.map(({ extract, rows }) => {
      const { since, notes } = reads.find(read => read.extract === extract)!
      return { extract, rows, since: since?.value, notes }
    }),
    ...takenJson(outcome),
    rejected: Object.fromEntries(tables.map(({ name, rejected }) => [name, rejected])),
    quality,
    loads: previews.map(preview => ({ ...preview, estimatedSeconds: ownValue(estimates, preview.to) })),
    report,
  }
}

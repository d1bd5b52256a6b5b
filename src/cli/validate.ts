import { Command, Option } from 'commander'
import { EXIT } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import { type Fault, SqlInvalid } from '../../engine/sql/faults.ts'
import { jobText } from '../report/data.ts'
import type { Valid } from '../runs/validateJob.ts'
import { productionPlace } from './environment.ts'
import { homeFolder } from './home.ts'
import { faultsOf, print } from './output.ts'

interface ValidateFlags {
  json?: boolean
  format: 'text' | 'json'
}

export function validateCommand(): Command {
  return new Command('validate')
    .description("Check a job's folder without touching any system")
    .argument('<job>', "the job's folder")
    .option('--json', 'print as JSON')
    .addOption(
      new Option('--format <format>', 'json: one list of diagnostics, for editors, whether valid or not')
        .choices(['text', 'json'])
        .default('text'),
    )
    .addHelpText(
      'after',
      `
Binds every model, check and macro to the columns that are declared or that the last run knew. Warns of what is allowed and
seldom meant: rows that differ at each run, joins that give a row many times, casts that nobody wrote, columns that nobody lists,
checks that can never fail, files of cases that test would refuse.

Examples:
  nightfreight validate queries/members
  nightfreight validate queries/members --format json`,
    )
    .action(async (folder: string, { json, format }: ValidateFlags) => {
      const { validateJob } = await import('../runs/validateJob.ts')
      const home = productionPlace()?.home ?? homeFolder()
      const validated = validateJob(folder, process.env, home, new AbortController().signal).then(
        async valid => {
          const { caseFaults } = await import('../workbench/caseFaults.ts')
          return { ...valid, warnings: [...valid.warnings, ...(await caseFaults(folder, home))] }
        },
      )
      if (format === 'json') {
        process.exitCode = await printDiagnostics(validated)
        return
      }
      const { spec, graph, warnings, unknown } = await validated
      const order = graph.models.filter(({ extract }) => !extract).map(({ name }) => name)
      if (json) {
        print(JSON.stringify({ valid: true, ...jobOf(spec), models: order, warnings, unknown }))
        return
      }
      const { faultText } = await import('../../engine/sql/faults.ts')
      for (const warning of warnings) print(`warning: ${faultText(warning)}`)
      const { isGenerated } = await import('../../engine/sql/parse.ts')
      for (const [of, group] of Map.groupBy(unknown, ({ extracts }) => unbound(extracts))) {
        const files = group.map(({ file }) => file).filter(file => !isGenerated(file))
        const declared = group.length - files.length
        const what = [...files, ...(declared > 0 ? [counted(declared, 'declared check')] : [])]
        print(`warning: ${what.join(', ')} ${of}`)
      }
      const models = order.length > 0 ? ` (${order.join(', ')})` : ''
      print(
        `${jobText(spec)} is valid: ${counted(spec.extracts.length, 'extract')}, ${counted(order.length, 'model')}${models}, ` +
          `${counted(spec.checks.length, 'check')}, ${counted(spec.loads.length, 'load')}`,
      )
    })
}

const jobOf = ({ job, environment }: Valid['spec']) => ({
  job,
  ...(environment !== undefined && { environment }),
})

const unbound = (extracts: string[]) =>
  `could not be bound: the columns of ${extracts.join(', ')} are not known before the first run`

/** Prints what is wrong and what is seldom meant as one JSON object, and gives the exit code. */
async function printDiagnostics(validated: Promise<Valid>): Promise<number> {
  const diagnostic = (severity: string) => (fault: Fault) => {
    const { file, place, message, hint } = fault
    const { line = 1, column = 1, end = 1 } = place ?? {}
    // Of a check that settings declare, the name has the line, too.
    const [, own, at, what] = /^(.+?):(\d+): (.+)$/.exec(file) ?? []
    if (own !== undefined)
      return {
        file: own,
        severity,
        line: Number(at),
        column,
        endColumn: end,
        message: `${what}: ${message}`,
        hint,
      }
    return { file, severity, line, column, endColumn: end, message, hint }
  }
  try {
    const { warnings, unknown } = await validated
    const waiting = unknown.map(({ file, extracts }) => ({ file, message: unbound(extracts) }))
    const diagnostics = [...warnings.map(diagnostic('warning')), ...waiting.map(diagnostic('information'))]
    print(JSON.stringify({ valid: true, diagnostics }))
    return EXIT.ok
  } catch (error) {
    const faults = faultsOf(error)
    if (!faults) throw error
    const others = error instanceof SqlInvalid ? error.warnings : []
    const diagnostics = [...faults.map(diagnostic('error')), ...others.map(diagnostic('warning'))]
    print(JSON.stringify({ valid: false, diagnostics }))
    return EXIT.usage
  }
}

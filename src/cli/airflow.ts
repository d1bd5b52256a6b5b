import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Command, Option } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import { OPERATORS, type Operator } from '../airflow/operator.ts'
import { makeFolder } from '../util/folder.ts'
import { shellWord } from '../util/shell.ts'
import { print } from './output.ts'

interface ExportFlags {
  output?: string
  folder?: string
  check?: boolean
  operator: Operator['kind']
  image?: string
  variable: string[]
  secret: string[]
  connection: string[]
}

export function airflowCommand(): Command {
  return new Command('airflow')
    .description('Apache Airflow as the orchestrator of a job')
    .addHelpText('after', '\nExample:\n  nightfreight airflow export queries/members -o dags/members.py')
    .addCommand(
      new Command('export')
        .description('Write a DAG file that runs the steps of a job, on whatever workers there are')
        .argument('<job>', "the job's folder")
        .option('-o, --output <file>', 'where to write it (default: standard output)')
        .option('--folder <path>', "the job's folder as workers see it (default: as it is here)")
        .addOption(
          new Option('--operator <kind>', 'what does a step: a process of the worker, or a container')
            .choices(OPERATORS)
            .default('bash'),
        )
        .option('--image <image>', 'of containers: has nightfreight, and the job at --folder')
        .option('--variable <name...>', 'variables of the worker that Docker containers get', [])
        .option('--secret <name...>', 'Kubernetes Secrets whose entries are variables of the pods', [])
        .option(
          '--connection <variable=id...>',
          "variables that are the URIs of Airflow's connections, as the step begins",
          [],
        )
        .option('--check', 'write nothing; fail where the file is not what it would be')
        .addHelpText(
          'after',
          `
Workers need nightfreight on their PATH, and all of them METADATA_URL and STAGING_URL: see docs/airflow.md.

Examples:
  nightfreight airflow export queries/members -o dags/members.py
  nightfreight airflow export queries/members -o dags/members.py --check
  nightfreight airflow export queries/members --operator kubernetes --image nightfreight:1 --secret nightfreight`,
        )
        .action(exportDag),
    )
}

async function exportDag(job: string, flags: ExportFlags): Promise<void> {
  const { output, folder, check } = flags
  const operator = operatorOf(flags)
  const { loadJob } = await import('../config/load.ts')
  const { dagFile } = await import('../airflow/dag.ts')
  const spec = await loadJob(job, process.env)
  const text = dagFile(spec, folder ?? spec.folder, operator)
  if (output === undefined) {
    if (check) throw new EngineError('CONFIG_INVALID', '--check needs --output: the file to compare with')
    process.stdout.write(text)
  } else if (check) compare(output, text, commandOf(job, output, flags))
  else {
    makeFolder(dirname(output))
    await writeFile(output, text)
    print(`${output}: DAG ${spec.job}`)
  }
}

/** How steps are done; fails with CONFIG_INVALID where flags do not go together. */
function operatorOf({
  operator: kind,
  image,
  variable: env,
  secret: secrets,
  connection,
}: ExportFlags): Operator {
  const refuse = (message: string, hint: string): never => {
    throw new EngineError('CONFIG_INVALID', message, { hint })
  }
  if (kind !== 'bash' && !image)
    refuse(`--operator ${kind} needs --image`, 'See docs/airflow.md for what the image holds.')
  if (kind === 'bash' && image)
    refuse('--image is of containers', 'Add --operator docker, or --operator kubernetes.')
  if (env.length > 0 && kind !== 'docker')
    refuse(
      '--variable is of Docker containers',
      kind === 'bash'
        ? 'Processes have the variables of their worker: leave it out.'
        : 'Keep the variables in a Secret: --secret NAME.',
    )
  if (secrets.length > 0 && kind !== 'kubernetes')
    refuse('--secret is of Kubernetes', 'Add --operator kubernetes, or leave it out.')
  if (connection.length > 0 && kind === 'kubernetes')
    refuse('--connection would write passwords into the pod', 'Keep the URLs in a Secret: --secret NAME.')
  const connections = connection.map(each => {
    const [, name, id] = /^([A-Za-z_]\w*)=([\w.-]+)$/.exec(each) ?? []
    if (name === undefined)
      refuse(`--connection ${each} is not VARIABLE=ID`, 'Write --connection LEGACY_DB_URL=legacy_db')
    return [name, id] as [string, string]
  })
  return { kind, ...(image && { image }), env, secrets, connections: Object.fromEntries(connections) }
}

/** The line that writes a file as these flags say. */
function commandOf(job: string, output: string, flags: ExportFlags): string {
  const { folder, operator, image, variable, secret, connection } = flags
  return [
    `nightfreight airflow export ${shellWord(job)} -o ${shellWord(output)}`,
    ...(folder === undefined ? [] : [`--folder ${shellWord(folder)}`]),
    ...(operator === 'bash' ? [] : [`--operator ${operator}`]),
    ...(image === undefined ? [] : [`--image ${shellWord(image)}`]),
    ...(variable.length > 0 ? [`--variable ${variable.map(shellWord).join(' ')}`] : []),
    ...(secret.length > 0 ? [`--secret ${secret.map(shellWord).join(' ')}`] : []),
    ...(connection.length > 0 ? [`--connection ${connection.map(shellWord).join(' ')}`] : []),
  ].join(' ')
}

function compare(file: string, wanted: string, command: string): void {
  const text = read(file)
  if (text === wanted) {
    print(`${file}: as it is to be`)
    return
  }
  const found = text?.split('\n') ?? []
  const lines = wanted.split('\n')
  const at = lines.findIndex((line, n) => line !== found[n])
  throw new EngineError(
    'CONFIG_INVALID',
    `${file}:${at < 0 ? lines.length : at + 1}: is not what the job is exported as`,
    { hint: `Write it anew: ${command}` },
  )
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Command } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import { makeFolder } from '../util/folder.ts'
import { print } from './output.ts'

interface ExportFlags {
  output?: string
  folder?: string
  check?: boolean
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
        .option('--check', 'write nothing; fail where the file is not what it would be')
        .addHelpText(
          'after',
          `
Workers need nightfreight on their PATH, and all of them METADATA_URL and STAGING_URL: see docs/airflow.md.

Examples:
  nightfreight airflow export queries/members -o dags/members.py
  nightfreight airflow export queries/members -o dags/members.py --check`,
        )
        .action(exportDag),
    )
}

async function exportDag(job: string, { output, folder, check }: ExportFlags): Promise<void> {
  const { loadJob } = await import('../config/load.ts')
  const { dagFile } = await import('../airflow/dag.ts')
  const spec = await loadJob(job, process.env)
  const text = dagFile(spec, folder ?? spec.folder)
  if (output === undefined) {
    if (check) throw new EngineError('CONFIG_INVALID', '--check needs --output: the file to compare with')
    process.stdout.write(text)
  } else if (check)
    compare(
      output,
      text,
      `nightfreight airflow export ${job} -o ${output}${folder === undefined ? '' : ` --folder ${folder}`}`,
    )
  else {
    makeFolder(dirname(output))
    await writeFile(output, text)
    print(`${output}: DAG ${spec.job}`)
  }
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

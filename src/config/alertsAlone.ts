import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { SecretContext } from '../secrets/provider.ts'
import type { AlertSpec } from '../spec/alerts.ts'
import { readAlerts } from './alerts.ts'
import { Document } from './document.ts'
import { readableIncluded } from './include.ts'
import { jobSchema } from './schema.ts'
import { validate } from './validate.ts'
import { readYaml, type Yaml, type YamlNode } from './yaml.ts'

type Environment = Record<string, string | undefined>

/** Whom to tell, and what no output may show. */
export interface AlertSettings {
  alerts?: AlertSpec
  secrets: string[]
}

/** Alerts of the installation, in its home folder: for what no job's own alerts can be told of. */
const INSTALLATION = 'alerts.yaml'

/**
 * Whom to tell of a job that cannot be used: its own alerts, as far as they can be read by themselves, or those of the
 * installation (`alerts.yaml` in the home folder, with the keys of a job's `alerts`).
 */
export async function readAlertsAlone(
  folder: string,
  home: string,
  env: Environment,
): Promise<AlertSettings> {
  return (await ownAlerts(folder, env)) ?? (await installationAlerts(home, env)) ?? { secrets: [] }
}

async function ownAlerts(folder: string, env: Environment): Promise<AlertSettings | undefined> {
  try {
    const yaml = await readFile(join(folder, 'job.yaml'), 'utf8')
    const files = [{ file: 'job.yaml', text: yaml }, ...readableIncluded(folder, yaml).toReversed()]
    const documents: Document[] = []
    for (const { file, text } of files) {
      const read = readYaml(text)
      const alerts = read.root.entries?.get('alerts')?.node
      // That the rest cannot be read is what is to be told.
      if (alerts?.entries)
        documents.push(
          await opened(join(folder, file), { ...read, faults: [] }, alerts, { env, folder: resolve(folder) }),
        )
    }
    const [own, ...others] = documents
    if (!own) return undefined
    for (const other of others) own.include(other)
    return settingsOf(own, folder)
  } catch {
    return undefined
  }
}

/** The alerts of the installation; undefined where it has none. Fails with CONFIG_INVALID. */
export async function installationAlerts(home: string, env: Environment): Promise<AlertSettings | undefined> {
  const file = join(home, INSTALLATION)
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const yaml = readYaml(text)
  return settingsOf(await opened(file, yaml, yaml.root, { env, folder: resolve(home) }), home)
}

/** A document of alerts alone. */
const opened = (file: string, yaml: Yaml, alerts: YamlNode, context: SecretContext): Promise<Document> =>
  Document.read(file, { ...yaml, root: { entries: new Map([['alerts', { node: alerts }]]) } }, context)

function settingsOf(document: Document, folder: string): AlertSettings {
  const alerts = validate(
    document,
    ['alerts'],
    jobSchema.shape.alerts,
    (document.value as { alerts: unknown }).alerts,
  )
  document.throwIfAny()
  const { secrets, ...read } = readAlerts(document, { alerts }, resolve(folder))
  document.throwIfAny()
  return { ...read, secrets: [...secrets, ...document.secrets] }
}

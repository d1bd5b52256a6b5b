import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isMap, parseDocument, stringify } from 'yaml'
import type { AlertSpec } from '../spec/alerts.ts'
import { readAlerts } from './alerts.ts'
import { below, Document } from './document.ts'
import { readableIncluded } from './include.ts'
import { jobSchema } from './schema.ts'
import { validate } from './validate.ts'
import { unveil, veil } from './variables.ts'

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
    const nodes = [
      yaml,
      ...readableIncluded(folder, yaml)
        .map(({ text }) => text)
        .toReversed(),
    ]
      .map(text => parseDocument(veil(text)).get('alerts', true))
      .filter(isMap)
    if (nodes.length === 0) return undefined
    const alerts = nodes.map((node): unknown => node.toJSON()).reduce((own, other) => below(other, own))
    return await settingsOf(join(folder, 'job.yaml'), unveil(stringify({ alerts })), folder, env)
  } catch {
    // That the job cannot be read is what is to be told.
    return undefined
  }
}

/** The alerts of the installation; undefined where it has none. Fails with CONFIG_INVALID. */
export async function installationAlerts(home: string, env: Environment): Promise<AlertSettings | undefined> {
  const file = join(home, INSTALLATION)
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const indented = text.replace(/^/gm, '  ')
  return settingsOf(file, `alerts:\n${indented}`, home, env)
}

async function settingsOf(
  file: string,
  text: string,
  folder: string,
  env: Environment,
): Promise<AlertSettings> {
  const document = await Document.open(file, text, { env, folder: resolve(folder) })
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

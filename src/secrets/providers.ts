// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of job.yaml, not of this file
import { awsParameter, awsSecret } from './aws.ts'
import { azure } from './azure.ts'
import { command } from './command.ts'
import { file } from './file.ts'
import { gcp } from './gcp.ts'
import type { SecretContext, SecretProvider } from './provider.ts'
import { vault } from './vault.ts'

/** Every place that secrets come from, besides environment variables. A new one adds its import and its place in this list. */
const PROVIDERS: readonly SecretProvider[] = [file, command, vault, awsSecret, awsParameter, gcp, azure]

/** What a provider gave is asked for again after so long: a scheduler reads its jobs' files every few seconds. */
const KEPT_MS = 60_000

const kept = new Map<string, { value: Promise<string>; until: number }>()

/** The provider of a reference's scheme; undefined for none. */
export const providerOf = (scheme: string) => PROVIDERS.find(provider => provider.scheme === scheme)

/** How references to each provider are written, for messages. */
export const shapes = () => PROVIDERS.map(({ scheme, shape }) => `\${${scheme}:${shape}}`).join(', ')

/** What a provider has at an address. */
export function secretAt(provider: SecretProvider, address: string, context: SecretContext): Promise<string> {
  if (provider === file) return provider.read(address, context)
  const key = JSON.stringify([provider.scheme, address, context.folder])
  const known = kept.get(key)
  if (known && known.until > performance.now()) return known.value
  const value = provider.read(address, context)
  kept.set(key, { value, until: performance.now() + KEPT_MS })
  value.catch(() => kept.delete(key))
  return value
}

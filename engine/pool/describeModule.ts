import type { OwnModule } from '../contracts/enrichment.ts'
import { type CodePlace, importOwn, OwnModuleInvalid, saying, whereOf } from './ownModule.ts'

/** What a module of a job's folder is, without a call of what it exports; or why it cannot be told. Plain data. */
export type ModuleFacts =
  | {
      /** The names of all exports, with what plain data they are; of a function, its kind alone. */
      exports: Record<string, { kind: string; value?: unknown }>
      loads: OwnModule['loads']
    }
  | { fault: { at?: CodePlace; message: string; hint?: string } }

/** Worker thread of its own: what it loads is counted. */
export async function describeModule({ url, folder }: { url: string; folder: string }): Promise<ModuleFacts> {
  try {
    const { exports, loads } = await importOwn(url, { folder })
    const found = Object.entries(exports).map(([name, value]) => {
      const kind = typeof value
      return [name, kind === 'function' ? { kind } : { kind, value: plain(value) }]
    })
    return { exports: Object.fromEntries(found), loads }
  } catch (error) {
    const at = whereOf(error, folder)
    const hint = error instanceof OwnModuleInvalid ? error.hint : undefined
    return { fault: { ...(at && { at }), message: saying(error), ...(hint !== undefined && { hint }) } }
  }
}

function plain(value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(value) ?? 'null')
  } catch {
    return null
  }
}

import { type ErrorData, errorData } from '../errors.ts'

export interface CallInput {
  module: string
  name: string
  input: unknown
}

/** Errors travel as data: a thread boundary would strip their code. */
export type CallResult = { ok: true; value: unknown } | { ok: false; error: ErrorData }

/** Body of an offloaded call. */
export default async function callWorker({ module, name, input }: CallInput): Promise<CallResult> {
  try {
    const functions = (await import(module)) as Record<string, (input: unknown) => unknown>
    return { ok: true, value: await functions[name]!(input) }
  } catch (error) {
    return { ok: false, error: errorData(error) }
  }
}

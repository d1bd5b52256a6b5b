/** What the process that reads a job was started with. */
export interface SecretContext {
  env: Record<string, string | undefined>
  /** The job's folder. */
  folder: string
}

/** A place where secrets are kept: `${SCHEME:ADDRESS}` in job.yaml is what it gives for the address. */
export interface SecretProvider {
  scheme: string
  /** The shape of an address, for messages: `/run/secrets/name`. */
  shape: string
  /** Whether an address is taken as it is written, with no references in it. */
  verbatim?: true
  /** Fails with an EngineError: CONFIG_INVALID, AUTH_FAILED, PERMISSION_DENIED, or a code that a later try may cure. */
  read(address: string, context: SecretContext): Promise<string>
}

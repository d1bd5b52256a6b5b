/** Of a server that asks for a password where a connection has none. */
export const PASSWORD_HINT =
  'Write it into the URL (//user:password@host, special characters percent-encoded), or as password: beside the URL in job.yaml.'

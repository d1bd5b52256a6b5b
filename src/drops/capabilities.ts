/** What every drop of files can do, wherever it is: see `connectors/define.ts`. */
export const DROP_CAPABILITIES = {
  source: true,
  target: false,
  incremental: false,
  modes: [],
}

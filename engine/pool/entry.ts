/** URL of a module beside `here` (its `import.meta.url`): `.ts` when run from source, `.js` when compiled. */
export function moduleBeside(here: string, name: string): string {
  return new URL(`./${name}${here.endsWith('.ts') ? '.ts' : '.js'}`, here).href
}

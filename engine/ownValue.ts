/** What an object holds under a name that comes from outside; not what its prototype has, as under `constructor`. */
export const ownValue = <Value>(
  of: Readonly<Record<string, Value>> | undefined,
  name: string,
): Value | undefined => (of !== undefined && Object.hasOwn(of, name) ? of[name] : undefined)

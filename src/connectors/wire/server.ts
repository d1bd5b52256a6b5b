/** A server by its name and port; all names of this machine are one. Others may still lead to the same. */
export function serverOf(host: string, port: string | number): string {
  const name = host.toLowerCase().replace(/^\[|\]$|\.$/g, '')
  return `${/^(|localhost|::1|127(\.\d+){3}|\/.*)$/.test(name) ? 'localhost' : name}:${port}`
}

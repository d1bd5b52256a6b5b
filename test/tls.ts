import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const KEY = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'

/** Makes files of certificates in a folder: `NAME.pem`, and a key beside it. */
export function certificates(dir: string) {
  const openssl = (line: string) => execFileSync('openssl', line.split(' '), { cwd: dir, stdio: 'pipe' })
  return {
    authority(name: string): void {
      openssl(`req -x509 ${KEY} -keyout ${name}.key -out ${name}.pem -subj /CN=${name} -days 2`)
    },
    /** For 127.0.0.1, signed by the authority `by`. */
    certificate(name: string, by: string): void {
      writeFileSync(join(dir, 'names'), 'subjectAltName=IP:127.0.0.1\n')
      openssl(`req ${KEY} -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`)
      openssl(
        `x509 -req -in ${name}.csr -CA ${by}.pem -CAkey ${by}.key -CAcreateserial -out ${name}.pem -days 2 -extfile names`,
      )
    },
  }
}

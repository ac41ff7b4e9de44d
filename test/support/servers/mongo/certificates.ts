import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Paths of files in PEM format. */
export interface Certificates {
  readonly ca: string
  readonly server: { readonly cert: string; readonly key: string }
  readonly client: { readonly cert: string; readonly key: string }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** Makes an authority in a folder, and certificates of it for 127.0.0.1 and for a client. Needs the command openssl. */
export function makeCertificates(folder: string): Certificates {
  const ca = join(folder, 'ca.pem')
  const caKey = join(folder, 'ca.key')
  openssl('req', '-x509', ...NEW_KEY, '-days', '2', '-subj', '/CN=authority', '-keyout', caKey, '-out', ca)
  const issue = (name: string, subject: string, extension: string): { readonly cert: string; readonly key: string } => {
    const [cert, key, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((end) =>
      join(folder, `${name}.${end}`),
    ) as [string, string, string, string]
    openssl('req', ...NEW_KEY, '-subj', subject, '-keyout', key, '-out', request)
    writeFileSync(extensions, `${extension}\n`)
    const signing = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', '2', '-extfile', extensions]
    openssl('x509', '-req', '-in', request, ...signing, '-out', cert)
    return { cert, key }
  }
  return {
    ca,
    server: issue('server', '/CN=server', 'subjectAltName=IP:127.0.0.1'),
    client: issue('client', '/O=shop/CN=backup', 'extendedKeyUsage=clientAuth'),
  }
}

function openssl(...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync('openssl', args, { encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`openssl: ${stderr}`)
}

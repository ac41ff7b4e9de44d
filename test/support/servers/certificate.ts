import { spawnSync } from 'node:child_process'
import { chownSync } from 'node:fs'
import { unprivileged } from './server-folder.ts'

export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/** A certificate for 127.0.0.1 that is its own authority, for two days, readable for servers that do not run as root. Needs the command openssl. */
export function makeCertificate({ cert, key }: CertificateFiles): void {
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=a test of Holdfast', '-addext', 'subjectAltName=IP:127.0.0.1']
  const { status, stderr } = spawnSync('openssl', [...request, '-keyout', key, '-out', cert, ...names], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`openssl: ${stderr}`)
  for (const file of [cert, key])
    if (unprivileged.uid !== undefined) chownSync(file, unprivileged.uid, unprivileged.gid!)
}

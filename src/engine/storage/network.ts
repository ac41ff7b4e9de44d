import { readFileSync } from 'node:fs'
import { getCACertificates, type SecureContextOptions } from 'node:tls'
import { HoldfastError } from '../../lib/errors.ts'

/** How stores behind a network are talked to. */
export interface NetworkSettings {
  /** Files of certificates (PEM) to trust instead of those of the system. */
  readonly caFiles: readonly string[]
  /** File with the certificate and the key (PEM) to present. */
  readonly clientCertificateFile?: string | undefined
  /** Accept any certificate. */
  readonly isInsecure: boolean
  /** The name to present. */
  readonly userAgent?: string | undefined
  /** Give up a request that makes no progress for so long. */
  readonly stuckRequestTimeoutMs: number
}

export const defaultNetwork: NetworkSettings = { caFiles: [], isInsecure: false, stuckRequestTimeoutMs: 5 * 60_000 }

export type TlsOptions = Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> & { readonly rejectUnauthorized: boolean }

/**
 * What a TLS connection of Node takes. Without files of certificates, those that come with Node are trusted; `withSystem` adds those of the
 * machine, which take a fifth of a second to read.
 * @throws HoldfastError HF_USAGE for a file that cannot be read
 */
export function tlsOptions(network: NetworkSettings, withSystem: boolean = false): TlsOptions {
  const { caFiles, clientCertificateFile, isInsecure } = network
  const client = clientCertificateFile === undefined ? undefined : readPem(clientCertificateFile, 'client certificate')
  return {
    ...(caFiles.length > 0 ? { ca: caFiles.map((file) => readPem(file, 'certificates to trust')) } : {}),
    ...(caFiles.length === 0 && withSystem
      ? { ca: [...getCACertificates('default'), ...getCACertificates('system')] }
      : {}),
    ...(client === undefined ? {} : { cert: client, key: client }),
    rejectUnauthorized: !isInsecure,
  }
}

function readPem(path: string, what: string): string {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new HoldfastError('HF_USAGE', `the ${what} in ${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
  if (text.includes('-----BEGIN')) return text
  throw new HoldfastError('HF_USAGE', `${path} holds no ${what}`, { hint: 'Give a file in PEM format.' })
}

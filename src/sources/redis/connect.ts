import { readFile } from 'node:fs/promises'
import { HoldfastError } from '../../lib/errors.ts'
import type { SourceServices } from '../source.ts'
import { RedisClient, type RedisConnection } from './client.ts'
import { findServer } from './sentinel.ts'
import type { RedisSettings, TlsSettings } from './settings.ts'

/** Connects to the server of a source, or to the one its sentinels would have backed up. */
export async function connect(
  { target, user, password, tls }: RedisSettings,
  services: SourceServices,
  signal: AbortSignal | undefined,
): Promise<RedisClient> {
  const common = { tls: tls && (await readTls(tls)), signal }
  const login = { ...common, user, password: password && (await services.secret(password)) }
  if (target.kind !== 'sentinel')
    return await RedisClient.connect({
      ...login,
      address: target.kind === 'socket' ? { path: target.path } : { host: target.host, port: target.port },
    })
  const sentinelPassword = target.password && (await services.secret(target.password))
  const { host, port } = await findServer(target, { ...common, password: sentinelPassword })
  return await RedisClient.connect({ ...login, address: { host, port } })
}

export async function readTls({
  ca,
  cert,
  key,
  serverName,
}: TlsSettings): Promise<NonNullable<RedisConnection['tls']>> {
  const [caText, certText, keyText] = await Promise.all([ca, cert, key].map((path) => path && readPem(path)))
  return {
    ...(caText === undefined ? {} : { ca: caText }),
    ...(certText === undefined ? {} : { cert: certText }),
    ...(keyText === undefined ? {} : { key: keyText }),
    ...(serverName === undefined ? {} : { serverName }),
  }
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new HoldfastError('HF_PATH_NOT_FOUND', `${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
      hint: 'it is named under `tls` of the source: a file in PEM format that the user of Holdfast can read',
    })
  }
}

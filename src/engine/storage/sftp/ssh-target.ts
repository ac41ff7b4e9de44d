import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import type { BackendRequest } from '../backend.ts'
import type { SftpLocation } from './sftp-location.ts'
import { readSshConfig } from './ssh-config.ts'

/** Where and as whom to connect, from a location and `~/.ssh/config`. */
export interface SshTarget {
  readonly host: string
  readonly port: number
  readonly user: string
  /** What `known_hosts` has it under. */
  readonly knownAs: string
  /** The first takes new keys. */
  readonly knownHostsFiles: readonly string[]
  readonly acceptsNew: boolean
  readonly identityFiles: readonly string[]
  /** Whether somebody asked for just these files, so that a missing one is worth telling. */
  readonly areIdentitiesNamed: boolean
  /** The socket of an agent. */
  readonly agent: string | undefined
  readonly connectTimeoutMs: number
  readonly aliveIntervalMs: number
  /** A keyword of the configuration that only the command ssh can follow. */
  readonly needsSsh: string | undefined
}

const DEFAULT_IDENTITIES = ['id_ed25519', 'id_ecdsa', 'id_rsa']
const GLOBAL_KNOWN_HOSTS = ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2']

/** @throws HoldfastError HF_USAGE when the configuration cannot be read */
export function sshTarget(
  { host, user, port }: Pick<SftpLocation, 'host' | 'user' | 'port'>,
  environment: BackendRequest['environment'],
  home: string,
): SshTarget {
  const configured = readSshConfig(readConfig(join(home, '.ssh', 'config')), host)
  const name = configured.hostName ?? host
  const finalPort = port ?? configured.port ?? 22
  const finalUser = user ?? configured.user ?? userInfo().username
  const expand = (path: string): string => expandPath(path, { home, host: name, user: finalUser, port: finalPort })
  const known = configured.knownHostsFiles.map(expand)
  const named = configured.identityFiles.map(expand)
  const agent = agentOf(configured.identityAgent, environment, expand)
  const strict = configured.strictHostKeyChecking
  return {
    host: name,
    port: finalPort,
    user: finalUser,
    knownAs: configured.hostKeyAlias ?? name,
    knownHostsFiles: [
      ...(known.length > 0 ? known : ['known_hosts', 'known_hosts2'].map((file) => join(home, '.ssh', file))),
      ...GLOBAL_KNOWN_HOSTS,
    ],
    acceptsNew: strict !== 'yes' && strict !== 'true',
    identityFiles: named.length > 0 ? named : DEFAULT_IDENTITIES.map((file) => join(home, '.ssh', file)),
    areIdentitiesNamed: named.length > 0,
    agent: configured.identitiesOnly ? undefined : agent,
    connectTimeoutMs: configured.connectTimeoutMs ?? 30_000,
    aliveIntervalMs: configured.aliveIntervalMs ?? 30_000,
    needsSsh: configured.needsSsh ?? (configured.identitiesOnly && agent !== undefined ? 'identitiesonly' : undefined),
  }
}

function agentOf(
  configured: string | undefined,
  environment: BackendRequest['environment'],
  expand: (path: string) => string,
): string | undefined {
  if (configured === 'none') return undefined
  if (configured === undefined || configured === 'SSH_AUTH_SOCK') return environment.SSH_AUTH_SOCK || undefined
  if (configured.startsWith('$')) return environment[configured.replace(/^\$\{?(.*?)\}?$/, '$1')] || undefined
  return expand(configured)
}

interface Tokens {
  readonly home: string
  readonly host: string
  readonly user: string
  readonly port: number
}

function expandPath(path: string, { home, host, user, port }: Tokens): string {
  const tokens: Readonly<Record<string, string>> = { '%%': '%', '%d': home, '%h': host, '%r': user, '%p': String(port) }
  const text = path.replace(/%./g, (token) => tokens[token] ?? token).replace(/^~(?=\/|$)/, () => home)
  return isAbsolute(text) ? text : join(home, '.ssh', text)
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === 'ENOENT' || code === 'ENOTDIR') return ''
    throw new HoldfastError('HF_USAGE', `${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

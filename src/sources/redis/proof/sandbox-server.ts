import { join } from 'node:path'
import { throwIfInterrupted } from '../../../engine/storage/interruption.ts'
import { systemClock } from '../../../lib/clock.ts'
import type { SandboxFolder, SandboxProcess } from '../../sandbox/sandbox-folder.ts'
import { RedisClient } from '../client.ts'
import { versionNumbers } from '../server.ts'
import type { ServerProgram } from './programs.ts'

/** A server that has loaded the RDB file of a sandbox, reachable for the owner of the sandbox only. */
export interface SandboxServer {
  connect(signal?: AbortSignal): Promise<RedisClient>
  stop(): Promise<void>
}

/** How a server ended that was to load a file. */
export interface SandboxFailure {
  /** `refused`: it does not take the file. `unusable`: it could not run here, which says nothing about the file. */
  readonly kind: 'refused' | 'unusable'
  readonly reason: string
}

const POLL_MS = 25
/** A path in `sockaddr_un` of Linux; macOS has less. */
const MAX_SOCKET_PATH_BYTES = process.platform === 'linux' ? 107 : 103
const SOCKET = 'redis.sock'
/** What servers write about a file they do not take (rdb.c, server.c of Redis 7.0). */
const REFUSAL = /rdb|RDB|loading the DB|Wrong signature|format version|Unknown opcode|CRC|corrupt/
/** What a server without the module says. */
const LACKS_MODULE = /module (?:data|type|'?AUX)|no matching module|AUX field/

/** Whether a server in this folder can be talked to; else why not. */
export function unusableFolder(folder: SandboxFolder): string | undefined {
  return Buffer.byteLength(join(folder.path, SOCKET)) > MAX_SOCKET_PATH_BYTES
    ? `the path ${folder.path} is too long for a socket: name a shorter one in HOLDFAST_SANDBOX_DIR`
    : undefined
}

/**
 * Starts a server on `data` in the sandbox and waits until it has loaded `dump.rdb`: on a socket only, without persistence, without
 * modules, and with a check of every encoded value where the server knows that.
 */
export async function startSandboxServer(
  folder: SandboxFolder,
  program: ServerProgram,
  { data, databases }: { readonly data: string; readonly databases: number },
  signal: AbortSignal | undefined,
): Promise<SandboxServer | SandboxFailure> {
  const socket = join(folder.path, SOCKET)
  const settings: Record<string, string> = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '700',
    dir: data,
    dbfilename: 'dump.rdb',
    save: '',
    appendonly: 'no',
    databases: String(databases),
    maxmemory: '0',
    'repl-diskless-sync': 'yes',
    'repl-diskless-sync-delay': '0',
    daemonize: 'no',
    logfile: '',
  }
  const [major, minor] = versionNumbers(program.version)
  if (program.kind === 'valkey' || major > 6 || (major === 6 && minor >= 2)) settings['sanitize-dump-payload'] = 'yes'
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  const server = folder.start('redis', program.path, args)
  const connect = (given?: AbortSignal): Promise<RedisClient> =>
    RedisClient.connect({ address: { path: socket }, signal: given })
  while (server.end === undefined) {
    throwIfInterrupted(signal)
    if (await isReady(connect)) return { connect, stop: () => server.stop('SIGKILL') }
    await systemClock.sleep(POLL_MS)
  }
  return failureOf(server)
}

async function isReady(connect: () => Promise<RedisClient>): Promise<boolean> {
  try {
    using client = await connect()
    return (await client.ask('PING')) === 'PONG'
  } catch {
    // Not listening yet, or gone, which its end tells.
    return false
  }
}

function failureOf(server: SandboxProcess): SandboxFailure {
  const lines = server
    .log()
    .split('\n')
    .filter((line) => /^\d+:\w .*[#]/.test(line))
    .map((line) => line.replace(/^.*? # /, ''))
  const telling = lines.filter((line) => REFUSAL.test(line)).slice(0, 3)
  if (telling.length === 0 || telling.some((line) => LACKS_MODULE.test(line)))
    return {
      kind: 'unusable',
      reason: [server.end ?? '', ...(telling.length > 0 ? telling : lines.slice(-2))].join('; '),
    }
  return { kind: 'refused', reason: telling.join('; ') }
}

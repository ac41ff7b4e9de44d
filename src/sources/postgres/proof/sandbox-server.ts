import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../../lib/clock.ts'
import type { SandboxFolder, SandboxProcess } from '../../sandbox/sandbox-folder.ts'
import type { ServerPrograms } from '../server-programs.ts'

export interface SandboxServerOptions {
  readonly programs: ServerPrograms
  readonly dataDirectory: string
  /** Whether the content of tablespaces lies below `pg_tblspc`. */
  readonly hasFolders: boolean
  readonly signal?: AbortSignal | undefined
}

/** Only names the socket: nothing listens on a network. */
const PORT = 5432
/** A Unix socket's path is no longer than this, on the strictest of systems; the socket's own name counts. */
const MAX_SOCKET_PATH = 103
const POLL_MS = 25
const READY = 'database system is ready to accept connections'
const REPORTED_LINES = 12

/**
 * Settings that hold whatever the cluster was configured with: none of its own files are read. Nothing gets out (no network, no archive, no
 * standby, no subscription), nothing runs by itself, and what recovery may ask room for there is room for.
 */
function configuration(folder: string, { programs, hasFolders }: SandboxServerOptions): string {
  const settings: Record<string, string> = {
    listen_addresses: '',
    unix_socket_directories: `${folder}/socket`,
    unix_socket_permissions: '0700',
    port: String(PORT),
    hba_file: `${folder}/pg_hba.conf`,
    ident_file: `${folder}/pg_ident.conf`,
    ssl: 'off',
    shared_preload_libraries: '',
    session_preload_libraries: '',
    local_preload_libraries: '',
    jit: 'off',
    archive_mode: 'off',
    archive_command: '',
    restore_command: '',
    archive_cleanup_command: '',
    recovery_end_command: '',
    primary_conninfo: '',
    primary_slot_name: '',
    synchronous_standby_names: '',
    max_logical_replication_workers: '0',
    max_wal_senders: '0',
    max_connections: '20',
    max_prepared_transactions: '1000',
    max_replication_slots: '1000',
    autovacuum: 'off',
    fsync: 'off',
    full_page_writes: 'off',
    restart_after_crash: 'off',
    shared_buffers: '32MB',
    max_wal_size: '4GB',
    huge_pages: 'off',
    temp_tablespaces: '',
    lc_messages: 'C',
    log_destination: 'stderr',
    logging_collector: 'off',
    log_min_messages: 'log',
    ...(programs.majorVersion >= 17 ? { event_triggers: 'off', summarize_wal: 'off' } : {}),
    ...(programs.majorVersion >= 18 ? { max_active_replication_origins: '1000' } : {}),
    ...(hasFolders ? { allow_in_place_tablespaces: 'on' } : {}),
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
    .join('')
}

/** How the start of a server came out. */
export type SandboxStart =
  | { readonly server: SandboxServer }
  /** What kept it from starting: something this machine lacks, or the cluster itself. */
  | { readonly failure: string; readonly isMachine: boolean }

/** A PostgreSQL server in a sandbox, over a restored data directory. */
export class SandboxServer {
  readonly socketDirectory: string
  readonly port: number = PORT
  readonly #process: SandboxProcess

  private constructor(process: SandboxProcess, socketDirectory: string) {
    this.#process = process
    this.socketDirectory = socketDirectory
  }

  /** Starts it and waits until recovery has come to its end, however long that takes. */
  static async start(folder: SandboxFolder, options: SandboxServerOptions): Promise<SandboxStart> {
    const { programs, dataDirectory, signal } = options
    const socketDirectory = join(folder.path, 'socket')
    if (Buffer.byteLength(`${socketDirectory}/.s.PGSQL.${PORT}`) > MAX_SOCKET_PATH)
      return {
        failure: `${folder.path} is too long a path for a socket: set HOLDFAST_SANDBOX_DIR to a shorter one`,
        isMachine: true,
      }
    mkdirSync(socketDirectory, { mode: 0o700 })
    folder.handOver(socketDirectory)
    const files = {
      'postgresql.conf': configuration(folder.path, options),
      'pg_hba.conf': 'local all all trust\n',
      'pg_ident.conf': '',
    }
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(folder.path, name), text, { mode: 0o600 })
      folder.handOver(join(folder.path, name))
    }
    const started = folder.start('postgres', join(programs.folder, 'postgres'), [
      '-D',
      dataDirectory,
      '-c',
      `config_file=${folder.path}/postgresql.conf`,
    ])
    const server = new SandboxServer(started, socketDirectory)
    for (;;) {
      signal?.throwIfAborted()
      const log = started.log()
      if (log.includes(READY)) return { server }
      if (started.end !== undefined) return failureOf(started.log() || started.end)
      await systemClock.sleep(POLL_MS, signal)
    }
  }

  log(): string {
    return this.#process.log()
  }

  /** Ends it as fast as it can clean up behind itself: shared memory would outlive a kill. */
  async stop(): Promise<void> {
    await this.#process.stop('SIGQUIT')
  }
}

/** Messages that say what this machine, or this way to start, lacks; the cluster may be whole. */
const machineFailures: readonly RegExp[] = [
  /No space left on device|Cannot allocate memory|could not (?:map anonymous|create) shared memory/,
  /could not create (?:any )?(?:lock file|Unix)/,
  /resource manager with ID [0-9]+ not registered/,
  /could not (?:access file|load library)/,
  /not recognized by setlocale|ICU is not supported/,
  /was (?:initialized|compiled) with .* but the server was compiled/,
  /cannot be started|error while loading shared libraries|Permission denied/,
]

function failureOf(log: string): SandboxStart {
  const lines = log.trim().split('\n')
  const fatal = lines.filter((line) =>
    /(?:FATAL|PANIC|ERROR|LOG: {2}(?:invalid|incorrect|unexpected|record|WAL))/.test(line),
  )
  const told = (fatal.length > 0 ? fatal : lines).slice(-REPORTED_LINES).map((line) => line.trim())
  return { failure: told.join('; '), isMachine: machineFailures.some((pattern) => pattern.test(log)) }
}

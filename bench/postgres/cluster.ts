import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { findServerPrograms } from '../../src/sources/postgres/server-programs.ts'
import { freePort } from '../../src/sources/sandbox/free-port.ts'
import { SandboxFolder } from '../../src/sources/sandbox/sandbox-folder.ts'

const NOBODY = 65_534
const MAJOR = 18

/** Rows as applications have them: growing keys, times, few distinct words, hashes, documents. They compress to about a third. */
const fill = (table: string, first: number, last: number): string => `
  CREATE TABLE ${table} (id bigserial PRIMARY KEY, at timestamptz NOT NULL, tenant int NOT NULL, status text NOT NULL, token text NOT NULL, body jsonb NOT NULL);
  INSERT INTO ${table} (at, tenant, status, token, body)
  SELECT timestamptz '2026-01-01' + g * interval '3 seconds', (hashint8(g) & 1023),
    (ARRAY['new', 'paid', 'packed', 'sent', 'returned'])[1 + (hashint8(g * 7) & 3)], md5(g::text),
    jsonb_build_object('user', md5((g % 50000)::text), 'amount', (hashint8(g * 3) & 65535) / 100.0,
      'note', repeat(chr(97 + (g % 26)::int), (g % 20)::int), 'uuid', md5((g * 13)::text)::uuid)
  FROM generate_series(${first}, ${last}) g;
  CREATE INDEX ON ${table} (at);
  CREATE INDEX ON ${table} (tenant, status)`

export interface ClusterOptions {
  readonly work: string
  readonly rows: number
  /** Names of the tables, which share the rows. */
  readonly tables?: readonly string[]
  /** Archives the log; without it nothing does. */
  readonly pgbackrest?: string
  readonly say: (text: string) => void
}

/** A cluster both tools back up, and the folders they work in; all of it goes in the end. */
export class BenchCluster implements AsyncDisposable {
  readonly work: string
  readonly port: number
  readonly version: string
  readonly dataDirectory: string
  bytes = 0
  readonly #sandbox: SandboxFolder

  private constructor(sandbox: SandboxFolder, port: number, version: string) {
    this.#sandbox = sandbox
    this.work = sandbox.path
    this.port = port
    this.version = version
    this.dataDirectory = join(sandbox.path, 'cluster')
  }

  static async create(options: ClusterOptions): Promise<BenchCluster> {
    const programs = findServerPrograms(MAJOR)
    if (programs === undefined) throw new Error(`there are no programs of PostgreSQL ${MAJOR}`)
    mkdirSync(options.work, { recursive: true, mode: 0o755 })
    const sandbox = SandboxFolder.create({ root: options.work })
    const cluster = new BenchCluster(sandbox, await freePort(), programs.version)
    try {
      await cluster.#start(programs.folder, options)
      return cluster
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
  }

  async #start(programs: string, { rows, tables = ['events'], pgbackrest, say }: ClusterOptions): Promise<void> {
    say(`filling a cluster with ${rows} rows`)
    const made = spawnSync(
      join(programs, 'initdb'),
      ['-D', this.dataDirectory, '-U', 'postgres', '-A', 'trust', '-N', '-E', 'UTF8', '--no-locale'],
      {
        ...this.#sandbox.user,
        cwd: '/',
        encoding: 'utf8',
      },
    )
    if (made.status !== 0) throw new Error(made.stderr)
    const settings = {
      listen_addresses: '127.0.0.1',
      port: this.port,
      unix_socket_directories: this.work,
      shared_buffers: '512MB',
      max_wal_size: '8GB',
      wal_level: 'replica',
      summarize_wal: 'on',
      ...(pgbackrest === undefined
        ? {}
        : {
            archive_mode: 'on',
            archive_command: `${pgbackrest} --config=${this.work}/pgbackrest.conf --stanza=main archive-push %p`,
          }),
      autovacuum: 'off',
    }
    const server = this.#sandbox.start('postgres', join(programs, 'postgres'), [
      '-D',
      this.dataDirectory,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ])
    for (;;) {
      if (server.end !== undefined) throw new Error(`PostgreSQL: ${server.end}\n${server.log()}`)
      if (
        await this.sql('SELECT 1').then(
          () => true,
          () => false,
        )
      )
        break
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    const share = Math.ceil(rows / tables.length)
    for (const [i, table] of tables.entries()) {
      // Each has rows of its own: what is the same would be stored once.
      for (const statement of fill(table, i * share + 1, (i + 1) * share).split(/;\n/)) await this.sql(statement)
      await this.sql(`VACUUM (FREEZE, ANALYZE) ${table}`)
    }
    await this.sql('CHECKPOINT')
    const [row] = await this.sql('SELECT sum(pg_database_size(oid))::float8 AS bytes FROM pg_database')
    this.bytes = Number(row!.bytes)
  }

  async sql(query: string): Promise<readonly Record<string, unknown>[]> {
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, user: 'postgres', database: 'postgres' })
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(query)).rows
    } finally {
      await client.end()
    }
  }

  /** Changes rows all over the table, each in a place of its own. */
  async update(rows: number): Promise<void> {
    await this.sql(
      `UPDATE events SET status = 'changed', token = md5(token) WHERE id IN (SELECT 1 + floor(random() * (SELECT max(id) - 1 FROM events))::bigint FROM generate_series(1, ${rows}))`,
    )
    await this.sql('CHECKPOINT')
  }

  /** Waits until no WAL is left to archive: a backup would wait for it. */
  async drainArchive(): Promise<void> {
    await this.sql('SELECT pg_switch_wal()')
    for (;;) {
      const [row] = await this.sql(
        "SELECT (last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1)) OR (SELECT count(*) = 0 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') AS done FROM pg_stat_archiver",
      )
      if (row!.done === true) return
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }

  /** A new folder that the tools, which run as nobody, may write. */
  folder(name: string): string {
    const path = mkdtempSync(join(this.work, `${name}-`))
    chmodSync(path, 0o700)
    chownSync(path, NOBODY, NOBODY)
    return path
  }

  write(name: string, text: string): string {
    const path = join(this.work, name)
    writeFileSync(path, text, { mode: 0o600 })
    chownSync(path, NOBODY, NOBODY)
    return path
  }

  remove(path: string): void {
    rmSync(path, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sandbox[Symbol.asyncDispose]()
  }
}

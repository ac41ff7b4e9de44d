import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import { expect, test } from 'vitest'
import { compiledCode } from '../support/program-world.ts'
import { lacks, type RequirementName } from '../support/requirements.ts'
import { startAzurite } from '../support/servers/azurite.ts'
import { startFakeGcs } from '../support/servers/gcs.ts'
import { startMinio } from '../support/servers/minio.ts'
import { startFerret } from '../support/servers/mongo/ferret.ts'
import { startPostgres } from '../support/servers/postgres.ts'
import { startRcloneRest } from '../support/servers/rclone-rest.ts'
import { startRedis } from '../support/servers/redis.ts'
import { startCluster } from '../support/servers/redis-cluster.ts'
import { startSshd } from '../support/servers/sshd.ts'
import { scratchFolder } from '../support/test-repository.ts'
import { commandBlocks, toScript } from './commands.ts'

const checkout = join(import.meta.dirname, '../..')
const guide = join(checkout, 'docs/guide')
const documents = [
  'README.md',
  ...(existsSync(guide) ? readdirSync(guide) : [])
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/guide/${name}`),
]

/** Documents are tried in several test files, so that several processors share them; each waits only for its own servers. */
export type Kind = 'databases' | 'stores' | 'others'

/** A server that the reader of a document has, named by variables. */
interface Surroundings {
  /** Among which documents it is tried. */
  readonly kind?: Kind
  readonly needs: readonly RequirementName[]
  start(): Promise<{ readonly variables: NodeJS.ProcessEnv; stop(): Promise<void> }>
}

const surroundings: Readonly<Record<string, Surroundings>> = {
  'docs/guide/azure.md': {
    kind: 'stores',
    needs: ['azurite'],
    async start() {
      const server = await startAzurite()
      return { variables: server.environment, stop: () => server.stop() }
    },
  },
  'docs/guide/google-cloud-storage.md': {
    kind: 'stores',
    needs: ['fake-gcs-server'],
    async start() {
      const server = await startFakeGcs()
      return { variables: server.environment, stop: () => server.stop() }
    },
  },
  'docs/guide/config-and-logs.md': {
    needs: ['restic'],
    start: async () => ({ variables: {}, stop: async () => undefined }),
  },
  'docs/guide/keys.md': {
    needs: ['age', 'restic'],
    start: async () => ({ variables: {}, stop: async () => undefined }),
  },
  'docs/guide/mongodb.md': {
    kind: 'databases',
    needs: ['ferretdb', 'restic'],
    async start() {
      const server = await startFerret()
      await using client = await new MongoClient(server.url).connect()
      await client
        .db('shop')
        .collection('orders')
        .insertMany([{ price: 1 }, { price: 2 }])
      return { variables: { MONGODB_URL: server.url }, stop: () => server.stop() }
    },
  },
  'docs/guide/postgresql.md': {
    kind: 'databases',
    needs: ['postgres15'],
    async start() {
      const server = await startPostgres({ version: 15 })
      await server.sql('CREATE TABLE item AS SELECT g AS id FROM generate_series(1, 10) g')
      const variables = { PGHOST: server.host, PGPORT: String(server.port), PGUSER: server.user }
      return { variables, stop: () => server.stop() }
    },
  },
  'docs/guide/postgresql-logical.md': {
    kind: 'databases',
    needs: ['postgres15', 'restic'],
    async start() {
      const server = await startPostgres({ version: 15 })
      const variables = { PGHOST: server.host, PGPORT: String(server.port), PGUSER: server.user }
      return { variables, stop: () => server.stop() }
    },
  },
  'docs/guide/rclone.md': {
    kind: 'stores',
    needs: ['rclone'],
    start: async () => ({ variables: {}, stop: async () => undefined }),
  },
  'docs/guide/rest.md': {
    kind: 'stores',
    needs: ['rclone'],
    async start() {
      const user = { name: 'ann', password: 'a long one' }
      const server = await startRcloneRest({ user, privateRepos: true })
      return { variables: { REST_URL: server.url, REST_PASSWORD: user.password }, stop: () => server.stop() }
    },
  },
  'docs/guide/sftp.md': {
    kind: 'stores',
    needs: ['sshd'],
    async start() {
      const server = await startSshd()
      return { variables: { SFTP_REPOSITORY: server.url('photos'), HOME: server.home }, stop: () => server.stop() }
    },
  },
  'docs/guide/s3.md': {
    kind: 'stores',
    needs: ['minio'],
    async start() {
      const server = await startMinio()
      return { variables: { ...server.environment, S3_URL: server.url }, stop: () => server.stop() }
    },
  },
  'docs/guide/redis.md': {
    kind: 'databases',
    needs: ['redis-server', 'restic'],
    async start() {
      const server = await startRedis()
      const cluster = await startCluster(1)
      return {
        variables: { REDIS_PORT: String(server.port), REDIS_CLUSTER_PORT: String(cluster.nodes[0]!.port) },
        stop: async () => {
          await server.stop()
          await cluster.stop()
        },
      }
    },
  },
}

/** Registers a test for each document of a kind: its commands are run, in order. A document without a server is one of the others. */
export function testDocuments(kind: Kind): void {
  const chosen = documents.filter((path) => (surroundings[path]?.kind ?? 'others') === kind)
  /** Those whose server this machine lacks. */
  const withoutServer = new Set(chosen.filter((path) => lacks(...(surroundings[path]?.needs ?? []))))
  test.for(chosen)('%s', { timeout: 15 * 60_000 }, async (path, { skip }) => {
    skip(withoutServer.has(path), `needs ${surroundings[path]?.needs.join(' and ')}`)
    const markdown = readFileSync(join(checkout, path), 'utf8')
    const skipped = commandBlocks(markdown).filter((block) => block.notRun !== undefined)
    if (skipped.length > 0) {
      console.log(
        `${path}: ${skipped.length} blocks are not run:\n${skipped.map(({ line, notRun }) => `  line ${line}: ${notRun}`).join('\n')}`,
      )
    }
    using scratch = scratchFolder()
    const server = await surroundings[path]?.start()
    try {
      const { exitCode, stderr } = follow(markdown, scratch.path, server?.variables)
      expect(exitCode, stderr).toBe(0)
    } finally {
      await server?.stop()
    }
  })
}

/** Runs the blocks of a document as a reader would: in a home folder of their own below `scratch`, `holdfast` on PATH. */
export function follow(
  markdown: string,
  scratch: string,
  variables: NodeJS.ProcessEnv = {},
): {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
} {
  const home = join(scratch, 'home')
  mkdirSync(home)
  const result = spawnSync('/bin/sh', ['-c', toScript(commandBlocks(markdown))], {
    cwd: home,
    encoding: 'utf8',
    timeout: 10 * 60_000,
    env: {
      PATH: `${join(checkout, 'bin')}:${process.env.PATH}`,
      HOME: home,
      TMPDIR: scratch,
      LC_ALL: 'C.UTF-8',
      ...compiledCode(),
      ...variables,
    },
  })
  return { exitCode: result.status, stdout: result.stdout, stderr: result.stderr }
}

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
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
import { commandBlocks, toScript } from './commands.ts'

const checkout = join(import.meta.dirname, '../..')
const guide = join(checkout, 'docs/guide')
const documents = [
  'README.md',
  ...(existsSync(guide) ? readdirSync(guide) : [])
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/guide/${name}`),
]

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-docs-'))
})
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true })
})

/** A server that the reader of a document has, named by variables. */
interface Surroundings {
  readonly needs: readonly RequirementName[]
  start(): Promise<{ readonly variables: NodeJS.ProcessEnv; stop(): Promise<void> }>
}

const surroundings: Readonly<Record<string, Surroundings>> = {
  'docs/guide/azure.md': {
    needs: ['azurite'],
    async start() {
      const server = await startAzurite()
      return { variables: server.environment, stop: () => server.stop() }
    },
  },
  'docs/guide/google-cloud-storage.md': {
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
    needs: ['postgres15'],
    async start() {
      const server = await startPostgres({ version: 15 })
      await server.sql('CREATE TABLE item AS SELECT g AS id FROM generate_series(1, 10) g')
      const variables = { PGHOST: server.host, PGPORT: String(server.port), PGUSER: server.user }
      return { variables, stop: () => server.stop() }
    },
  },
  'docs/guide/postgresql-logical.md': {
    needs: ['postgres15', 'restic'],
    async start() {
      const server = await startPostgres({ version: 15 })
      const variables = { PGHOST: server.host, PGPORT: String(server.port), PGUSER: server.user }
      return { variables, stop: () => server.stop() }
    },
  },
  'docs/guide/rclone.md': {
    needs: ['rclone'],
    start: async () => ({ variables: {}, stop: async () => undefined }),
  },
  'docs/guide/rest.md': {
    needs: ['rclone'],
    async start() {
      const user = { name: 'ann', password: 'a long one' }
      const server = await startRcloneRest({ user, privateRepos: true })
      return { variables: { REST_URL: server.url, REST_PASSWORD: user.password }, stop: () => server.stop() }
    },
  },
  'docs/guide/sftp.md': {
    needs: ['sshd'],
    async start() {
      const server = await startSshd()
      return { variables: { SFTP_REPOSITORY: server.url('photos'), HOME: server.home }, stop: () => server.stop() }
    },
  },
  'docs/guide/s3.md': {
    needs: ['minio'],
    async start() {
      const server = await startMinio()
      return { variables: { ...server.environment, S3_URL: server.url }, stop: () => server.stop() }
    },
  },
  'docs/guide/redis.md': {
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

/** Documents whose server this machine lacks. */
const withoutServer = new Set(
  documents.filter((path) => surroundings[path] !== undefined && lacks(...surroundings[path].needs)),
)

/** Runs the blocks of a document as a reader would: in a home folder of their own, `holdfast` on PATH. */
function follow(
  markdown: string,
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
    timeout: 120_000,
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

describe('the commands of the documents', () => {
  test.for(documents)('%s', { timeout: 150_000 }, async (path, { skip }) => {
    skip(withoutServer.has(path), `needs ${surroundings[path]?.needs.join(' and ')}`)
    const markdown = readFileSync(join(checkout, path), 'utf8')
    const skipped = commandBlocks(markdown).filter((block) => block.notRun !== undefined)
    if (skipped.length > 0) {
      console.log(
        `${path}: ${skipped.length} blocks are not run:\n${skipped.map(({ line, notRun }) => `  line ${line}: ${notRun}`).join('\n')}`,
      )
    }
    const server = await surroundings[path]?.start()
    try {
      const { exitCode, stderr } = follow(markdown, server?.variables)
      expect(exitCode, stderr).toBe(0)
    } finally {
      await server?.stop()
    }
  })
})

describe('following a document', () => {
  test('runs its sh blocks in order, in one shell', () => {
    const text =
      '# Title\n\n```sh\nmkdir a\ncd a\nexport NAME="x y"\n```\n\ntext\n\n```text\nnot a command\n```\n\n```sh\necho "$NAME" > b\npwd\n```\n'
    const { exitCode, stdout } = follow(text)
    expect(exitCode).toBe(0)
    expect(stdout).toBe(`${join(scratch, 'home/a')}\n`)
    expect(readFileSync(join(scratch, 'home/a/b'), 'utf8')).toBe('x y\n')
  })

  test('stops at the first command that fails and says where', () => {
    const { exitCode, stdout, stderr } = follow('```sh\ntrue\n```\n\n```sh\ncat missing.txt\necho after\n```\n')
    expect(exitCode).not.toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toContain('::line 6\n')
    expect(stderr).toContain('missing.txt')
  })

  test('a command of ours that does not exist fails', () => {
    const { exitCode, stderr } = follow('```sh\nholdfast bakcup folder\n```\n')
    expect(exitCode).toBe(1)
    expect(stderr).toContain('bakcup')
  })

  test('leaves marked blocks out, with the reason', () => {
    const text = '<!-- not run: needs a server -->\n\n```sh\nfalse\n```\n\n```sh\necho ran\n```\n'
    expect(commandBlocks(text)).toEqual([
      { line: 4, commands: 'false', notRun: 'needs a server' },
      { line: 8, commands: 'echo ran', notRun: undefined },
    ])
    expect(follow(text)).toMatchObject({ exitCode: 0, stdout: 'ran\n' })
  })

  test('reads blocks in lists, and other fences', () => {
    expect(
      commandBlocks('1. First\n\n   ```sh\n   ls\n     -l\n   ```\n\n~~~sh\ntrue\n~~~\n').map(
        ({ commands }) => commands,
      ),
    ).toEqual(['ls\n  -l', 'true'])
  })

  test.each([
    ['```sh\nls\n', 'line 1: the block is not closed'],
    ['<!-- not run: -->\n```sh\nls\n```\n', 'line 1: a block is left out without a reason'],
    ['<!-- not run: slow -->\n\ntext\n\n```sh\nls\n```\n', 'line 1: the mark is not followed by a block of commands'],
    ['<!-- not run: slow -->\n```text\nls\n```\n', 'line 1: the mark is not followed by a block of commands'],
    ['text\n<!-- not run: slow -->', 'line 2: the mark is not followed by a block of commands'],
  ])('refuses %j', (text, message) => {
    expect(() => commandBlocks(text)).toThrow(message)
  })
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks, type RequirementName } from '../support/requirements.ts'
import { startAzurite } from '../support/servers/azurite.ts'
import { startFakeGcs } from '../support/servers/gcs.ts'
import { startMinio } from '../support/servers/minio.ts'
import { type RedisServer, startRedis } from '../support/servers/redis.ts'
import { play } from '../support/stage.ts'
import { scratchFolder } from '../support/test-repository.ts'

interface Store {
  readonly environment: Readonly<Record<string, string>>
  stop(): Promise<void>
}

const stores: readonly {
  readonly name: string
  readonly needs: readonly RequirementName[]
  start(): Promise<Store>
}[] = [
  {
    name: 'AWS_S3',
    needs: ['minio'],
    async start() {
      const { url, environment, stop } = await startMinio()
      return {
        stop,
        environment: { ...environment, AWS_ENDPOINT_URL: url, BACKUP_STORAGE_PATH: 's3://bucket/backups' },
      }
    },
  },
  {
    name: 'Azure_Blob',
    needs: ['azurite'],
    async start() {
      const { account, environment, stop } = await startAzurite()
      const path = `https://${account}.blob.core.windows.net/backups`
      return { stop, environment: { ...environment, BACKUP_STORAGE_PATH: path } }
    },
  },
  {
    name: 'Google_Cloud',
    needs: ['fake-gcs-server'],
    async start() {
      const { environment, stop } = await startFakeGcs()
      return {
        stop,
        environment: { ...environment, GOOGLE_CLOUD_PROJECT: 'shop', BACKUP_STORAGE_PATH: 'gs://bucket/backups' },
      }
    },
  },
  {
    name: 'Local',
    needs: [],
    async start() {
      const scratch = scratchFolder()
      return {
        stop: async () => scratch[Symbol.dispose](),
        environment: { BACKUP_STORAGE_PATH: scratch.join('backups') },
      }
    },
  },
]

describe.skipIf(lacks('redis-server'))('variables alone, without a file', () => {
  const scratch = scratchFolder()
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(async () => {
    await redis?.stop()
    scratch[Symbol.dispose]()
  })

  describe.each(stores)('BACKUP_STORAGE_PROVIDER=$name (S1-08 to S1-11)', ({ name, needs, start }) => {
    test.skipIf(lacks(...needs))(
      'back up a server, list it, prove it',
      async () => {
        const store = await start()
        try {
          const environment = {
            ...store.environment,
            BACKUP_STORAGE_PROVIDER: name,
            BACKUP_ENCRYPTION_KEY: 'a key of many words',
            REDIS_HOST: '127.0.0.1',
            REDIS_PORT: String(redis.port),
            XDG_CACHE_HOME: scratch.join('cache'),
          }
          const must = async (...args: readonly string[]): Promise<string> => {
            const { exitCode, stdout, stderr } = await play(args, { environment })
            expect({ args, exitCode, stderr: exitCode === 0 ? '' : stderr }).toEqual({ args, exitCode: 0, stderr: '' })
            return stdout
          }
          await must('init')
          await must('backup:run', '--all')
          const [snapshot] = JSON.parse(await must('snapshots', '--json', '--tag', 'kind=backup'))
          expect(snapshot.tags).toContain('source=redis')
          expect(await must('check', '--read-data')).toContain('no errors were found')
        } finally {
          await store.stop()
        }
      },
      60_000,
    )
  })
})

import { describe, expect, test } from 'vitest'
import { describeConfiguration } from './describe.ts'
import { readEnvironmentDraft } from './environment-draft.ts'
import { loadVariables, problemsIn } from './testing.ts'

const repository = { BACKUP_STORAGE_PATH: '/backups', BACKUP_ENCRYPTION_KEY: 'a secret\n' }

describe('variables define what a file would', () => {
  test('a repository, its key, and servers (S1-08, S1-16, S1-17, S3-24)', async () => {
    const configuration = await loadVariables({
      ...repository,
      BACKUP_STORAGE_PROVIDER: 'Local',
      DB_HOST: 'postgres',
      DB_PORT: '5432',
      DB_NAME: 'virtualqueue_prod',
      DB_USER: 'virtualqueue_user',
      DB_PASSWORD: `it's "a" $secret`,
      REDIS_HOST: 'redis',
      REDIS_PORT: '6380',
      REDIS_PASSWORD: 'redis secret',
      MONGO_URL: 'mongodb://backup:hunter2@mongo/',
    })
    const { repositories, sources, file, warnings } = configuration
    expect(file).toBeUndefined()
    expect(warnings).toEqual([])
    expect([...repositories.values()]).toEqual([
      {
        name: 'main',
        url: '/backups',
        password: { kind: 'env', name: 'BACKUP_ENCRYPTION_KEY' },
        keys: [],
        maxKeyAgeDays: 90,
        mount: false,
        place: {},
        store: {},
      },
    ])
    expect(sources.get('postgres')).toMatchObject({
      repositories: ['main'],
      settings: {
        mode: 'physical',
        server: 'postgres',
        port: 5432,
        user: 'virtualqueue_user',
        database: 'virtualqueue_prod',
        password: { kind: 'env', name: 'DB_PASSWORD' },
      },
    })
    expect(sources.get('redis')!.settings).toEqual({
      host: 'redis',
      port: 6380,
      password: { kind: 'env', name: 'REDIS_PASSWORD' },
    })
    const shown = describeConfiguration(configuration)
    expect(shown).toContainEqual({ path: 'sources.postgres.host', value: 'postgres', origin: 'DB_HOST' })
    expect(shown).toContainEqual({
      path: 'sources.redis.password',
      value: 'env:REDIS_PASSWORD',
      origin: 'REDIS_PASSWORD',
    })
    expect(shown).toContainEqual({ path: 'sources.mongodb.url', value: 'mongodb://backup@mongo/', origin: 'MONGO_URL' })
    expect(shown).toContainEqual({ path: 'sources.mongodb.password', value: 'env:MONGO_URL', origin: 'MONGO_URL' })
    expect(JSON.stringify(shown)).not.toMatch(/hunter2|redis secret|\$secret/)
  })

  test.each([
    ['a folder', { BACKUP_STORAGE_PROVIDER: 'local', BACKUP_STORAGE_PATH: '/backups' }, '/backups'],
    [
      'a bucket of Amazon (S1-09)',
      { BACKUP_STORAGE_PROVIDER: 'AWS_S3', BACKUP_STORAGE_PATH: 's3://bucket/backups/' },
      's3:s3.amazonaws.com/bucket/backups',
    ],
    ['a bucket alone (S3-24)', { BACKUP_S3_BUCKET: 'bucket' }, 's3:s3.amazonaws.com/bucket'],
    [
      'the same bucket twice (X-09)',
      { BACKUP_S3_BUCKET: 'bucket', BACKUP_STORAGE_PATH: 's3://bucket/backups' },
      's3:s3.amazonaws.com/bucket/backups',
    ],
    [
      'a container (S1-10)',
      {
        BACKUP_STORAGE_PROVIDER: 'Azure_Blob',
        BACKUP_STORAGE_PATH: 'https://shop.blob.core.windows.net/backups',
        AZURE_STORAGE_ACCOUNT: 'shop',
      },
      'azure:backups:/',
    ],
    [
      'a bucket of Google (S1-11)',
      { BACKUP_STORAGE_PROVIDER: 'Google_Cloud', BACKUP_STORAGE_PATH: 'gs://bucket/a/b' },
      'gs:bucket:/a/b',
    ],
    ['a location in our form', { BACKUP_STORAGE_PATH: 'sftp:host:/backups' }, 'sftp:host:/backups'],
    [
      'a location in our form, of the provider',
      { BACKUP_STORAGE_PROVIDER: 'AWS_S3', BACKUP_STORAGE_PATH: 's3:https://store:9000/bucket' },
      's3:https://store:9000/bucket',
    ],
  ])('the repository lies in %s', async (_, variables, url) => {
    const { repositories, warnings } = await loadVariables({ BACKUP_ENCRYPTION_KEY: 'k', ...variables })
    expect(repositories.get('main')!.url).toBe(url)
    expect(warnings).toEqual([])
  })

  test('a password in a URL is one that the URL refers to, and no other may be set', async () => {
    const url = 'mongodb+srv://a%40b:p%2Fw@cluster.example.net/shop?authSource=admin'
    const { sources } = await loadVariables({ ...repository, MONGODB_URI: url, MONGO_PASSWORD: 'p/w' })
    expect(sources.get('mongodb')!.settings).toMatchObject({
      url: 'mongodb+srv://a%40b@cluster.example.net/shop?authSource=admin',
      password: { kind: 'env', name: 'MONGODB_URI' },
    })
    const differing = loadVariables({ ...repository, MONGODB_URI: url, MONGO_PASSWORD: 'hunter2' })
    expect(await problemsIn(differing)).toEqual([
      'MONGODB_URI: the password in MONGODB_URI and MONGO_PASSWORD differ; unset one of them',
    ])
  })

  test('POSTGRES_* means the same as DB_*, and its origin is shown (S3-25)', async () => {
    const { sources, originOf } = await loadVariables({
      ...repository,
      POSTGRES_HOST: 'localhost',
      POSTGRES_USER: 'postgres',
      POSTGRES_PASSWORD: 'secure-password',
      POSTGRES_DB: 'platform_db',
      DB_NAME: 'platform_db',
    })
    expect(sources.get('postgres')!.settings).toMatchObject({
      server: 'localhost',
      user: 'postgres',
      database: 'platform_db',
    })
    expect(originOf(['sources', 'postgres', 'host'])).toBe('POSTGRES_HOST')
    expect(originOf(['sources', 'postgres', 'database'])).toBe('DB_NAME')
    expect(originOf(['sources', 'postgres', 'port'])).toBe('default')
  })

  test('what Kubernetes sets for a service of that name is no port', async () => {
    const { sources } = await loadVariables({
      ...repository,
      DB_PORT: 'tcp://10.0.0.2:5432',
      REDIS_HOST: 'redis',
      REDIS_PORT: 'tcp://10.0.0.1:6379',
    })
    expect([...sources.keys()]).toEqual(['redis'])
    expect(sources.get('redis')!.settings).toMatchObject({ port: 6379 })
  })

  test('an empty variable is not set', async () => {
    const { sources } = await loadVariables({ ...repository, DB_HOST: '', REDIS_HOST: 'r' })
    expect([...sources.keys()]).toEqual(['redis'])
  })
})

describe('variables are refused', () => {
  test.each<[string, Readonly<Record<string, string>>, readonly string[]]>([
    [
      'when two of one meaning differ, without showing them (X-09)',
      { ...repository, DB_HOST: 'a', POSTGRES_HOST: 'b', DB_PASSWORD: 'hunter2', POSTGRES_PASSWORD: 'hunter3' },
      [
        'DB_HOST: DB_HOST and POSTGRES_HOST mean the same and differ; unset one of them',
        'DB_PASSWORD: DB_PASSWORD and POSTGRES_PASSWORD mean the same and differ; unset one of them',
      ],
    ],
    [
      'when those of a feature that does not exist yet differ (X-09)',
      { ...repository, BACKUP_RETENTION_DAYS: '30', RETENTION_DAYS: '90' },
      ['BACKUP_RETENTION_DAYS: BACKUP_RETENTION_DAYS and RETENTION_DAYS mean the same and differ; unset one of them'],
    ],
    [
      'when there is a place and no key: nothing is stored in plain text (S3-B06)',
      { BACKUP_STORAGE_PATH: '/backups' },
      ['BACKUP_STORAGE_PATH: the repository also needs BACKUP_ENCRYPTION_KEY: nothing is stored without encryption'],
    ],
    [
      'when the key is only a line end (S3-B06)',
      { BACKUP_STORAGE_PATH: '/backups', BACKUP_ENCRYPTION_KEY: '\n' },
      ['BACKUP_STORAGE_PATH: the repository also needs BACKUP_ENCRYPTION_KEY: nothing is stored without encryption'],
    ],
    [
      'when there is a key and no place (S3-24)',
      { BACKUP_ENCRYPTION_KEY: 'k' },
      [
        'BACKUP_ENCRYPTION_KEY: the repository also needs BACKUP_STORAGE_PATH or BACKUP_S3_BUCKET: it says where the repository is',
      ],
    ],
    [
      'when a server is described and not named',
      { ...repository, POSTGRES_PASSWORD: 'x' },
      ['POSTGRES_PASSWORD: the PostgreSQL server also needs DB_HOST or POSTGRES_HOST: it says where the server is'],
    ],
    [
      'when there is a server and no repository',
      { REDIS_HOST: 'r' },
      ['REDIS_HOST: source "redis" has nowhere to go: no repository is configured'],
    ],
    [
      'when a port is none',
      { ...repository, DB_HOST: 'a', DB_PORT: '5432x' },
      ['DB_PORT: sources.postgres.port must be a number, not text'],
    ],
    [
      'when quotes of an env file are part of the value (S1-B11)',
      { ...repository, DB_HOST: '"postgres"  # primary' },
      ['DB_HOST: has quotes around its value; whatever reads the env file keeps them, so leave them out'],
    ],
    [
      'when the store is none that exists',
      { ...repository, BACKUP_STORAGE_PROVIDER: 'AWS' },
      ['BACKUP_STORAGE_PROVIDER: must be one of Local, AWS_S3, Azure_Blob, Google_Cloud'],
    ],
    [
      'when the path is of another store',
      { ...repository, BACKUP_STORAGE_PROVIDER: 'AWS_S3', BACKUP_STORAGE_PATH: 'gs://bucket/backups' },
      ['BACKUP_STORAGE_PATH: is no place of the provider AWS_S3: it has the form s3://BUCKET/PATH'],
    ],
    [
      'when a folder is called a bucket',
      { ...repository, BACKUP_STORAGE_PROVIDER: 'Google_Cloud' },
      ['BACKUP_STORAGE_PATH: is no place of the provider Google_Cloud: it has the form gs://BUCKET/PATH'],
    ],
    [
      'when path and bucket differ (X-09)',
      { ...repository, BACKUP_STORAGE_PATH: 's3://one/backups', BACKUP_S3_BUCKET: 'two' },
      ['BACKUP_STORAGE_PATH: BACKUP_STORAGE_PATH and BACKUP_S3_BUCKET name different places; unset one of them'],
    ],
    [
      'when there is a provider and no place',
      { BACKUP_STORAGE_PROVIDER: 'AWS_S3', BACKUP_ENCRYPTION_KEY: 'k' },
      ['BACKUP_STORAGE_PROVIDER: defines no repository by itself; set BACKUP_STORAGE_PATH or BACKUP_S3_BUCKET'],
    ],
    [
      'when a container is of another account than the credentials (S1-10)',
      {
        ...repository,
        BACKUP_STORAGE_PATH: 'https://shop.blob.core.windows.net/backups',
        AZURE_STORAGE_ACCOUNT: 'other',
      },
      ['BACKUP_STORAGE_PATH: is of the account shop, and the variables name other'],
    ],
    [
      'when an address is none of a container',
      { ...repository, BACKUP_STORAGE_PATH: 'https://example.com/backups', AZURE_STORAGE_ACCOUNT: 'shop' },
      ['BACKUP_STORAGE_PATH: is no folder; it has the form https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH'],
    ],
    [
      'when there is only a bucket',
      { BACKUP_S3_BUCKET: 'bucket' },
      ['BACKUP_S3_BUCKET: the repository also needs BACKUP_ENCRYPTION_KEY: nothing is stored without encryption'],
    ],
  ])('%s', async (_, environment, expected) => {
    expect(await problemsIn(loadVariables(environment))).toEqual(expected)
  })
})

describe('variables without effect', () => {
  test('each is named once', async () => {
    const { warnings } = await loadVariables({
      ...repository,
      BACKUP_SCHEDULE: '0 2 * * *',
      BACKUP_NOTIFY_SLACK: 'https://hooks.slack.com/services/hunter2',
    })
    expect(warnings).toEqual([
      'BACKUP_SCHEDULE has no effect: this version does not have schedules yet',
      'BACKUP_NOTIFY_SLACK has no effect: this version does not have notifications yet',
    ])
  })

  test('so are those of a type of source that does not exist', () => {
    const { warnings, draft } = readEnvironmentDraft(
      { ...repository, MONGODB_URL: 'mongodb://h' },
      new Set(['postgres']),
    )!
    expect(warnings).toEqual(['MONGODB_URL has no effect: this version does not have sources of type mongodb yet'])
    expect(draft!.value).toMatchObject({ sources: {} })
  })

  test('alone they define nothing', () => {
    expect(readEnvironmentDraft({ AWS_REGION: 'us-east-1', BACKUP_SCHEDULE: '0 2 * * *' }, new Set())).toBeUndefined()
  })
})

import { BUCKET_VARIABLE, STORAGE_PATH_VARIABLE } from './environment-place.ts'

/** A value that variables define. Several names mean the same; the first that is set counts, and they may not differ. */
export interface DefinedValue {
  readonly key: string
  readonly names: readonly string[]
  /**
   * How the text of the variable becomes the value; `secret` makes a reference to the variable. The password of a `url` is taken out of it, and
   * `password` becomes a reference to the variable instead: whoever reads it takes the password of the URL. A `place` is where the repository
   * lies, which several variables say together (`environment-place.ts`).
   */
  readonly kind: 'text' | 'number' | 'secret' | 'url' | 'place'
}

/** A repository or a source that variables define. */
export interface DefinedPart {
  readonly part: 'repositories' | 'sources'
  /** Its name in the configuration. */
  readonly name: string
  /** Type of the source. */
  readonly type?: string
  /** What it is, for messages. */
  readonly title: string
  readonly values: readonly DefinedValue[]
  /** Keys without which it is not defined, and why each is needed. */
  readonly needs: Readonly<Record<string, string>>
}

/** The variables of the documents that Holdfast answers to (S1-08 to S1-11, S1-16, S1-17, S3-24, S3-25), and those of MongoDB in their manner. */
export const definedParts: readonly DefinedPart[] = [
  {
    part: 'repositories',
    name: 'main',
    title: 'the repository',
    values: [
      { key: 'url', names: [STORAGE_PATH_VARIABLE, BUCKET_VARIABLE], kind: 'place' },
      { key: 'password', names: ['BACKUP_ENCRYPTION_KEY'], kind: 'secret' },
    ],
    needs: {
      url: 'it says where the repository is',
      password: 'nothing is stored without encryption',
    },
  },
  {
    part: 'sources',
    name: 'postgres',
    type: 'postgres',
    title: 'the PostgreSQL server',
    values: [
      { key: 'host', names: ['DB_HOST', 'POSTGRES_HOST'], kind: 'text' },
      { key: 'port', names: ['DB_PORT', 'POSTGRES_PORT'], kind: 'number' },
      { key: 'user', names: ['DB_USER', 'POSTGRES_USER'], kind: 'text' },
      { key: 'password', names: ['DB_PASSWORD', 'POSTGRES_PASSWORD'], kind: 'secret' },
      { key: 'database', names: ['DB_NAME', 'POSTGRES_DB'], kind: 'text' },
    ],
    needs: { host: 'it says where the server is' },
  },
  {
    part: 'sources',
    name: 'redis',
    type: 'redis',
    title: 'the Redis server',
    values: [
      { key: 'host', names: ['REDIS_HOST'], kind: 'text' },
      { key: 'port', names: ['REDIS_PORT'], kind: 'number' },
      { key: 'password', names: ['REDIS_PASSWORD'], kind: 'secret' },
    ],
    needs: { host: 'it says where the server is' },
  },
  {
    part: 'sources',
    name: 'mongodb',
    type: 'mongodb',
    title: 'the MongoDB server',
    values: [
      { key: 'url', names: ['MONGODB_URL', 'MONGO_URL', 'MONGODB_URI', 'MONGO_URI'], kind: 'url' },
      { key: 'password', names: ['MONGODB_PASSWORD', 'MONGO_PASSWORD'], kind: 'secret' },
    ],
    needs: { url: 'it says where the server is' },
  },
]

/** Variables of features that do not exist yet, by feature. Those of one inner list mean the same. */
export const plannedVariables: Readonly<Record<string, readonly (readonly string[])[]>> = {
  schedules: [['BACKUP_SCHEDULE']],
  'configured retention': [['BACKUP_RETENTION_DAYS', 'RETENTION_DAYS'], ['BACKUP_LOGS_RETENTION_DAYS']],
  'archive files': [['COMPRESSION_ENABLED']],
  notifications: [
    ['NOTIFICATION_EMAIL'],
    ['BACKUP_ALERT_EMAIL', 'BACKUP_NOTIFY_EMAIL'],
    ['BACKUP_ALERT_ON_FAILURE'],
    ['BACKUP_NOTIFY_SLACK'],
  ],
}

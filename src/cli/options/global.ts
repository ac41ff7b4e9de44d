import type { CompressionMode } from '../../engine/repository/compression.ts'
import { count, flag, type OptionTable, separatedList, value, valueOr } from './option.ts'
import type { OptionGroup } from './parse.ts'
import { durationKind } from './quantities.ts'
import {
  compressionKind,
  directoryKind,
  fileKind,
  filesKind,
  type KeyValue,
  keyValuesKind,
  packSizeKind,
  rateKind,
  repositoryKind,
  textKind,
} from './values.ts'

/** Options every command understands. */
export interface GlobalOptions {
  readonly help: boolean
  readonly repo: string | undefined
  readonly repositoryFile: string | undefined
  /** A holdfast.yaml, instead of those at the usual places. */
  readonly configurationFile: string | undefined
  readonly passwordFile: string | undefined
  readonly passwordCommand: string | undefined
  readonly keyHint: string | undefined
  readonly insecureNoPassword: boolean
  readonly quiet: boolean
  /** How many `-v`. */
  readonly verbose: number
  readonly json: boolean
  readonly noLock: boolean
  /** How long to wait for a lock; undefined or 0: not at all. */
  readonly retryLockMs: number | undefined
  readonly cacheDirectory: string | undefined
  readonly noCache: boolean
  readonly cleanupCache: boolean
  readonly compression: CompressionMode
  readonly packSizeBytes: number | undefined
  readonly noExtraVerify: boolean
  readonly limitUploadBytesPerSecond: number | undefined
  readonly limitDownloadBytesPerSecond: number | undefined
  readonly extended: readonly KeyValue[]
  readonly caCertificateFiles: readonly string[]
  readonly clientCertificateFile: string | undefined
  readonly insecureTls: boolean
  readonly httpUserAgent: string | undefined
  readonly stuckRequestTimeoutMs: number
}

const options: OptionTable<GlobalOptions> = {
  repo: value('repo', repositoryKind, 'the repository to work on: a location, or a name that holdfast.yaml gives one', {
    short: 'r',
    environment: 'REPOSITORY',
  }),
  repositoryFile: value('repository-file', fileKind, 'read the location of the repository from this file', {
    environment: 'REPOSITORY_FILE',
  }),
  configurationFile: value(
    'config',
    fileKind,
    'read the configuration from this file instead of ./holdfast.yaml or /etc/holdfast/holdfast.yaml',
  ),
  passwordFile: value('password-file', fileKind, 'read the password from this file', {
    short: 'p',
    environment: 'PASSWORD_FILE',
  }),
  passwordCommand: value(
    'password-command',
    textKind('command'),
    'run this command and take what it prints as the password; the words are split at spaces outside quotes, no shell is involved',
    { environment: 'PASSWORD_COMMAND' },
  ),
  keyHint: value('key-hint', textKind('key'), 'id of the key file to try first', { environment: 'KEY_HINT' }),
  insecureNoPassword: flag('insecure-no-password', 'the repository has an empty password (insecure); needed each time'),
  quiet: flag('quiet', 'print errors and results only', { short: 'q' }),
  verbose: count('verbose', 'print more; -vv (or --verbose=2) prints every file', { short: 'v' }),
  json: flag('json', 'print JSON instead of text'),
  noLock: flag('no-lock', 'hold no lock while reading, for storage that cannot be written to'),
  retryLockMs: value('retry-lock', durationKind, 'when the repository is locked, keep trying for this long (5m, 2h)'),
  cacheDirectory: value('cache-dir', directoryKind, 'folder for cached parts of repositories', {
    environment: 'CACHE_DIR',
  }),
  noCache: flag('no-cache', 'use no cache'),
  cleanupCache: flag('cleanup-cache', 'remove caches that were not used for a month'),
  compression: valueOr('compression', compressionKind, 'auto', 'how hard to compress (repository version 2 only)', {
    environment: 'COMPRESSION',
  }),
  packSizeBytes: value('pack-size', packSizeKind, 'target size of pack files in MiB, 4 to 128', {
    environment: 'PACK_SIZE',
  }),
  noExtraVerify: flag('no-extra-verify', 'do not decode again what was encoded before it is stored'),
  limitUploadBytesPerSecond: value('limit-upload', rateKind, 'write to the storage at most at this rate in KiB/s'),
  limitDownloadBytesPerSecond: value('limit-download', rateKind, 'read from the storage at most at this rate in KiB/s'),
  extended: separatedList('option', keyValuesKind, 'setting of the storage, as key=value (repeatable)', { short: 'o' }),
  caCertificateFiles: separatedList(
    'cacert',
    filesKind,
    'trust the certificates in this file instead of those of the system',
    {
      environment: 'CACERT',
    },
  ),
  clientCertificateFile: value(
    'tls-client-cert',
    fileKind,
    'file with the certificate and key (PEM) to present to the storage',
    {
      environment: 'TLS_CLIENT_CERT',
    },
  ),
  insecureTls: flag('insecure-tls', 'accept any certificate of the storage (insecure)'),
  httpUserAgent: value('http-user-agent', textKind('string'), 'name to present to the storage', {
    environment: 'HTTP_USER_AGENT',
  }),
  stuckRequestTimeoutMs: valueOr(
    'stuck-request-timeout',
    durationKind,
    '5m0s',
    'give up and repeat a request to the storage that makes no progress for this long',
  ),
  help: flag('help', 'print help and do nothing else', { short: 'h' }),
}

const profiling = "it belongs to restic's own development builds"

/** The global options, and those of restic that are refused everywhere. */
export const globalOptions: OptionGroup<GlobalOptions> = {
  options,
  refused: [
    { long: 'listen-profile', takesValue: true, reason: profiling },
    { long: 'mem-profile', takesValue: true, reason: profiling },
    { long: 'cpu-profile', takesValue: true, reason: profiling },
    { long: 'trace-profile', takesValue: true, reason: profiling },
    { long: 'block-profile', takesValue: true, reason: profiling },
    { long: 'insecure-kdf', takesValue: false, reason: 'it would make every password easy to guess' },
  ],
}

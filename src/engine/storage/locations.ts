import { type Clock, systemClock } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Backend, BackendRequest } from './backend.ts'
import { withBandwidthLimit, withBandwidthSchedule } from './layers/with-bandwidth-limit.ts'
import { withCircuitBreaker } from './layers/with-circuit-breaker.ts'
import { type RetryOptions, withRetry } from './layers/with-retry.ts'
import { defaultNetwork, type NetworkSettings } from './network.ts'
import type { Storage } from './storage.ts'
import type { StoreSettings } from './store-settings.ts'

export interface StorageOptions {
  /** Extended options as given by `-o`: `local.connections=4`. */
  readonly extended?: readonly string[]
  readonly uploadBytesPerSecond?: number | undefined
  readonly downloadBytesPerSecond?: number | undefined
  /** Where stores find credentials; nothing by default. */
  readonly environment?: BackendRequest['environment']
  /** What the configuration says about the store. */
  readonly settings?: StoreSettings
  /** How stores behind a network are talked to. */
  readonly network?: NetworkSettings
  readonly clock?: Clock
  readonly onRetry?: RetryOptions['onRetry']
  readonly onNotice?: BackendRequest['onNotice']
}

const unsupported = (title: string) => (): Promise<Backend> => Promise.resolve({ title, options: [], settings: [] })

/** Stores by scheme. What a store consists of is loaded when one of its kind is opened. */
const backends: ReadonlyMap<string, () => Promise<Backend>> = new Map<string, () => Promise<Backend>>([
  ['local', async () => (await import('./local/local-backend.ts')).localBackend],
  ['s3', async () => (await import('./s3/s3-backend.ts')).s3Backend],
  ['sftp', async () => (await import('./sftp/sftp-backend.ts')).sftpBackend],
  ['rest', async () => (await import('./rest/rest-backend.ts')).restBackend],
  ['azure', async () => (await import('./azure/azure-backend.ts')).azureBackend],
  ['gs', async () => (await import('./gs/gs-backend.ts')).gsBackend],
  ['b2', unsupported('Backblaze B2')],
  ['swift', unsupported('OpenStack Swift')],
  ['rclone', async () => (await import('./rclone/rclone-backend.ts')).rcloneBackend],
])

/**
 * The store at a location in restic's syntax: a path, or `scheme:place`; with retries, and limits where they are asked for. Opening does not
 * look whether there is a repository. HF_STORAGE_LOCATION for what is no location, HF_UNSUPPORTED for backends and extended options that this
 * version does not know, HF_USAGE for wrong values. No message carries a password.
 */
export async function openStorage(location: string, options: StorageOptions = {}): Promise<Storage> {
  const { scheme, place } = parseLocation(location)
  const backend = await backends.get(scheme)!()
  if (backend.open === undefined) {
    throw new HoldfastError('HF_UNSUPPORTED', `${scheme}: (${backend.title}) is not supported by this version`, {
      hint: 'A path, or local: and a path, names a repository in a folder of this machine.',
      context: { scheme },
    })
  }
  const { environment = {}, settings = {}, network = defaultNetwork, clock = systemClock } = options
  const onNotice = options.onNotice ?? (() => undefined)
  requireUnderstood(scheme, backend, settings)
  const extended = await extendedOptionsOf(scheme, options.extended ?? [])
  const request = { place, options: extended, environment, settings, network, clock, onNotice }
  return withLayers(backend.open(request), options)
}

/**
 * Limits are inside of retries, so that what is sent again counts again. The cache comes outside of all, once the repository's id is known.
 */
function withLayers(store: Storage, options: StorageOptions): Storage {
  const { uploadBytesPerSecond, downloadBytesPerSecond, settings, clock = systemClock, onRetry } = options
  const isRemote = store.properties.directory === undefined
  const { up, down } = settings?.limit ?? {}
  const scheduled = up || down ? withBandwidthSchedule(store, { up, down }, clock) : store
  const isLimited = uploadBytesPerSecond !== undefined || downloadBytesPerSecond !== undefined
  const limited = isLimited
    ? withBandwidthLimit(scheduled, { uploadBytesPerSecond, downloadBytesPerSecond, clock })
    : scheduled
  const retried = withRetry(limited, { clock, ...(onRetry === undefined ? {} : { onRetry }) })
  return isRemote ? withCircuitBreaker(retried, { clock }) : retried
}

/** The kind of store a location is of: `local`, `s3`. @throws HoldfastError HF_STORAGE_LOCATION */
export const storeKindOf = (location: string): string => parseLocation(location).scheme

function parseLocation(location: string): { readonly scheme: string; readonly place: string } {
  const colon = location.indexOf(':')
  const scheme = location.slice(0, Math.max(0, colon))
  if (backends.has(scheme)) return { scheme, place: location.slice(colon + 1) }
  if (isPath(location) || (location !== '' && colon < 0)) return { scheme: 'local', place: location }
  throw new HoldfastError(
    'HF_STORAGE_LOCATION',
    `${JSON.stringify(displayLocation(location))} is no repository location`,
    {
      hint: 'For a folder of this machine with a colon in its name, write local: before its path.',
    },
  )
}

/** `/a`, `./a`, `../a`: a path whatever follows. */
const isPath = (location: string): boolean => /^\.{0,2}\//.test(location)

/**
 * The values of the options of `scheme`. Options of another supported backend are let through, because a command with two repositories gets
 * one set of options for both; all others would do nothing and are refused by name.
 */
async function extendedOptionsOf(scheme: string, extended: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const values = new Map<string, string>()
  for (const option of extended) {
    const [key = '', ...rest] = option.split('=')
    const [namespace = '', ...name] = key.trim().toLowerCase().split('.')
    const backend = await backends.get(namespace)?.()
    if (!backend?.options.includes(name.join('.'))) {
      throw new HoldfastError(
        'HF_UNSUPPORTED',
        `the extended option ${JSON.stringify(key)} is not supported by this version`,
        {
          hint: `Supported: ${(await supportedOptions()).join(', ')}.`,
        },
      )
    }
    if (namespace === scheme) values.set(name.join('.'), rest.join('=').trim())
  }
  return values
}

async function supportedOptions(): Promise<readonly string[]> {
  const names: string[] = []
  for (const [scheme, load] of backends) for (const option of (await load()).options) names.push(`${scheme}.${option}`)
  return names
}

/** Settings that would do nothing are refused: whoever asks for a lock must not believe that there is one. */
function requireUnderstood(scheme: string, backend: Backend, settings: StoreSettings): void {
  for (const [name, value] of Object.entries(settings))
    if (value !== undefined && name !== 'limit' && !backend.settings.some((known) => known === name))
      throw new HoldfastError('HF_UNSUPPORTED', `${scheme}: (${backend.title}) knows nothing of "${name}"`, {
        hint: `Take "${name}" out of the settings of this repository, or choose another store.`,
        context: { scheme },
      })
}

/** A location as it may be shown: `***` in the place of a password. */
export function displayLocation(location: string): string {
  const start = location.indexOf('//')
  if (start < 0 || isPath(location) || location.startsWith('local:')) return location
  const authority = location.slice(start + 2).split('/', 1)[0]!
  // A password with a slash in it ends the authority early; then what looks like a port is none.
  const seemsCut = /:(?![0-9]{0,5}$)/.test(authority)
  const end = authority.includes('@')
    ? start + 2 + authority.lastIndexOf('@')
    : seemsCut
      ? location.lastIndexOf('@')
      : -1
  const colon = location.indexOf(':', start)
  if (colon < 0 || end < colon) return location
  return `${location.slice(0, colon)}:***${location.slice(end)}`
}

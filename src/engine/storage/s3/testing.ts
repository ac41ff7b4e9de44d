import { systemClock } from '../../../lib/clock.ts'
import type { BackendRequest } from '../backend.ts'
import { defaultNetwork } from '../network.ts'
import { S3Client } from './s3-client.ts'
import { s3OptionsOf } from './s3-options.ts'
import { parseS3Place } from './s3-place.ts'
import { S3Storage, type S3StorageSettings } from './s3-storage.ts'

export interface OpenOptions
  extends Partial<Pick<BackendRequest, 'environment' | 'settings' | 'network' | 'clock' | 'onNotice'>>,
    Pick<S3StorageSettings, 'wholeBytes' | 'partBytes'> {
  readonly options?: Readonly<Record<string, string>>
}

/** For tests: a request to open a place, as `openStorage` makes it. */
export const s3Request = (place: string, options: OpenOptions): BackendRequest => ({
  place,
  options: new Map(Object.entries(options.options ?? {})),
  environment: options.environment ?? {},
  settings: options.settings ?? {},
  network: options.network ?? defaultNetwork,
  clock: options.clock ?? systemClock,
  onNotice: options.onNotice ?? (() => undefined),
})

/** For tests: the store at a place, without layers. */
export function openS3(place: string, open: OpenOptions): S3Storage {
  const request = s3Request(place, open)
  const { environment, network, clock, settings, onNotice } = request
  const parsed = parseS3Place(place, environment)
  const options = s3OptionsOf(request)
  const client = new S3Client({ place: parsed, options, environment, network })
  const { wholeBytes, partBytes } = open
  const parts = { ...(wholeBytes ? { wholeBytes } : {}), ...(partBytes ? { partBytes } : {}) }
  return new S3Storage({ client, prefix: parsed.prefix, options, lock: settings.lock, clock, onNotice, ...parts })
}

import type { Backend } from '../backend.ts'
import { withConnectionLimit } from '../layers/with-connection-limit.ts'
import { S3Client } from './s3-client.ts'
import { s3OptionNames, s3OptionsOf } from './s3-options.ts'
import { parseS3Place } from './s3-place.ts'
import { S3Storage } from './s3-storage.ts'

/** Amazon S3 and what speaks like it. */
export const s3Backend: Backend = {
  title: 'Amazon S3 and compatible stores',
  options: s3OptionNames,
  settings: ['region', 'storageClass', 'lock'],
  open: (request) => {
    const { environment, settings, network, clock, onNotice } = request
    const place = parseS3Place(request.place, environment)
    const options = s3OptionsOf(request)
    const client = new S3Client({ place, options, environment, network })
    const storage = new S3Storage({ client, prefix: place.prefix, options, lock: settings.lock, clock, onNotice })
    return withConnectionLimit(storage, options.connections)
  },
}

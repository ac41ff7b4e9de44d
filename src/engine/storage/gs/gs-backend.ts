import { HoldfastError } from '../../../lib/errors.ts'
import type { Backend } from '../backend.ts'
import { connectionsOf } from '../connections.ts'
import { withConnectionLimit } from '../layers/with-connection-limit.ts'
import { bucketPlaceOf } from '../object-names.ts'
import { accountOf } from './gs-account.ts'
import { openGsStorage } from './gs-storage.ts'

const CLASSES = ['STANDARD', 'NEARLINE', 'COLDLINE', 'ARCHIVE'] as const
const DEFAULT_CONNECTIONS = 5
const DEFAULT_REGION = 'us'

export const gsBackend: Backend = {
  title: 'Google Cloud Storage',
  options: ['connections', 'region'],
  settings: ['region', 'storageClass', 'lock'],
  open: ({ place, options, environment, settings, network, clock }) => {
    const connections = connectionsOf('gs', options.get('connections') ?? String(DEFAULT_CONNECTIONS))
    const storage = openGsStorage({
      account: accountOf(environment),
      place: bucketPlaceOf('gs', 'bucket', place),
      connections,
      region: options.get('region') || settings.region || DEFAULT_REGION,
      storageClass: classOf(settings.storageClass),
      lock: settings.lock,
      network,
      clock,
    })
    return withConnectionLimit(storage, connections)
  },
}

function classOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const known = CLASSES.find((name) => name === text.toUpperCase())
  if (known !== undefined) return known
  throw new HoldfastError('HF_USAGE', `${JSON.stringify(text)} is no storage class`, {
    hint: `There are ${CLASSES.join(', ')}.`,
  })
}

import { doc } from './bson.ts'
import { Collection } from './collection.ts'
import type { Datastore } from './datastore.ts'
import type { ServerVersion } from './version.ts'

/** What every server has from its beginning, of which no oplog tells. */
export function seed(data: Datastore, version: ServerVersion): void {
  add(data, 'admin', 'system.version', [{ _id: 'featureCompatibilityVersion', version: version.series }])
  add(data, 'local', 'startup_log', [{ _id: 'scripted', startTime: new Date() }])
  if (data.oplog === undefined) return
  add(data, 'config', 'transactions', [])
  add(data, 'config', 'system.indexBuilds', [])
  add(data, 'local', 'replset.minvalid', [])
}

function add(data: Datastore, db: string, name: string, documents: readonly Readonly<Record<string, unknown>>[]): void {
  const collection = new Collection({ db, name, options: doc({}), at: 0n })
  data.catalog.add(collection)
  for (const document of documents) collection.insert(doc(document), 0n)
}

import { rootOf } from '../../../engine/repository/snapshot.ts'
import type { PlannedRestore, RestoreJob } from '../../restore.ts'
import type { SourceServices } from '../../source.ts'
import type { MongoSettings } from '../settings.ts'
import { SnapshotFiles } from '../snapshot-files.ts'
import { planDirectoryRestore } from './directory.ts'
import { planServerRestore } from './server.ts'

export interface RestoreOf {
  readonly source: string
  readonly settings: MongoSettings
  readonly services: SourceServices
}

/** Plans a restore into a server, or into a folder for mongorestore. @throws HoldfastError */
export async function planRestore({ source, settings, services }: RestoreOf, job: RestoreJob): Promise<PlannedRestore> {
  const { repository, snapshot, target, signal } = job
  const files = new SnapshotFiles(repository, rootOf(snapshot), source, signal)
  if (target.kind === 'directory') return await planDirectoryRestore(target.path, files, job)
  const { password, tls, jobs } = settings
  // The source's own user may be meant; a password in the URL counts more.
  const known = password && (await services.secret(password))
  return await planServerRestore({ url: target.url, files, password: known, tls, jobs }, job)
}

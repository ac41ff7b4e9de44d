import { rootOf } from '../../../engine/repository/snapshot.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { PlannedRestore, RestoreJob } from '../../restore.ts'
import type { SourceServices } from '../../source.ts'
import { type MongoEndpoint, parseMongoUrl, passwordIn } from '../endpoint.ts'
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
  const { tls, jobs } = settings
  const { url, password } = await loginFor(target.url, settings, services)
  return await planServerRestore({ url, files, password, tls, jobs }, job)
}

const PASSWORD_VARIABLE = 'MONGODB_TARGET_PASSWORD'

/**
 * The server a URL names, and with which password: that in the URL, else the source's if it is the same server and no other user, else that
 * of MONGODB_TARGET_PASSWORD. The source's goes nowhere else.
 * @throws HoldfastError HF_TARGET_INVALID, HF_SECRET_UNAVAILABLE
 */
async function loginFor(
  url: string,
  { endpoint: source, password }: MongoSettings,
  services: SourceServices,
): Promise<{ readonly url: MongoEndpoint; readonly password: string | undefined }> {
  const target = parseMongoUrl(url)
  if (typeof target === 'string')
    throw new HoldfastError('HF_TARGET_INVALID', `the URL of the target ${target}`, {
      hint: 'like mongodb://admin@127.0.0.1:27017/',
    })
  if (target.password !== undefined) return { url: target, password: target.password }
  const isSource = target.hosts === source.hosts && (target.user ?? source.user) === source.user
  if (!isSource) return { url: target, password: process.env[PASSWORD_VARIABLE] }
  return { url: { ...target, user: source.user }, password: password && passwordIn(await services.secret(password)) }
}
